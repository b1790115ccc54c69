// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"google.golang.org/grpc"

	"clonefs/tests/gotool/harness"
)

const service = "/containerd.services.snapshots.v1.Snapshots/"

// rawCodec sends and receives bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v interface{}) ([]byte, error) { return *v.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, v interface{}) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (rawCodec) Name() string { return "proto" }

// rawCall makes a unary call with a message of any bytes.
func rawCall(conn *grpc.ClientConn, method string, message []byte) ([]byte, error) {
	ctx, cancel := harness.CallContext()
	defer cancel()
	var answer []byte
	err := conn.Invoke(ctx, method, &message, &answer, grpc.ForceCodec(rawCodec{}))
	return answer, err
}

// field encodes one length-delimited protobuf field.
func field(number int, content string) []byte {
	return append(varints(uint64(number)<<3|2, uint64(len(content))), content...)
}

func varints(values ...uint64) []byte {
	var out []byte
	for _, v := range values {
		for ; v >= 0x80; v >>= 7 {
			out = append(out, byte(v)|0x80)
		}
		out = append(out, byte(v))
	}
	return out
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, part := range parts {
		out = append(out, part...)
	}
	return out
}
