// SPDX-License-Identifier: Apache-2.0

// Package metadata serves containerd's own metadata database, its Content and its Leases API, over a content store that
// somebody else keeps: all of a containerd that a differ calls back, in the process of a test.
package metadata

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/metadata"
	"github.com/containerd/containerd/services/content/contentserver"
	ptypes "github.com/gogo/protobuf/types"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc"
)

// Containerd is one on a socket.
type Containerd struct {
	DB     *metadata.DB
	Leases leases.Manager

	bolt   *bolt.DB
	server *grpc.Server
	calls  sync.Map // method to *int64
}

// Serve keeps its database in a file and its blobs in the store.
func Serve(socket, file string, store content.Store) (*Containerd, error) {
	database, err := bolt.Open(file, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		return nil, err
	}
	db := metadata.NewDB(database, store, nil)
	if err := db.Init(context.Background()); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // another one may be there by then
	c := &Containerd{DB: db, Leases: metadata.NewLeaseManager(db), bolt: database}
	c.server = grpc.NewServer(grpc.MaxRecvMsgSize(16<<20), grpc.MaxSendMsgSize(16<<20),
		grpc.UnaryInterceptor(func(ctx context.Context, request interface{}, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (interface{}, error) {
			c.count(info.FullMethod)
			return handler(ctx, request)
		}),
		grpc.StreamInterceptor(func(server interface{}, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			c.count(info.FullMethod)
			return handler(server, stream)
		}))
	contentapi.RegisterContentServer(c.server, contentserver.New(db.ContentStore()))
	leasesapi.RegisterLeasesServer(c.server, &leaseService{manager: c.Leases})
	go func() { _ = c.server.Serve(listener) }() // ends with Close
	return c, nil
}

// Close ends it.
func (c *Containerd) Close() {
	c.server.Stop()
	_ = c.bolt.Close() // nothing of it is needed any more
}

func (c *Containerd) count(method string) {
	counter, _ := c.calls.LoadOrStore(method, new(int64))
	atomic.AddInt64(counter.(*int64), 1)
}

// Calls is how often a method was called.
func (c *Containerd) Calls(method string) int64 {
	counter, there := c.calls.Load(method)
	if !there {
		return 0
	}
	return atomic.LoadInt64(counter.(*int64))
}

// leaseService is the part of the Leases API that a differ needs.
type leaseService struct {
	leasesapi.LeasesServer
	manager leases.Manager
}

func (s *leaseService) Create(ctx context.Context, r *leasesapi.CreateRequest) (*leasesapi.CreateResponse, error) {
	id := leases.WithID(r.ID)
	if r.ID == "" {
		id = leases.WithRandomID()
	}
	lease, err := s.manager.Create(ctx, id, leases.WithLabels(r.Labels))
	if err != nil {
		return nil, errdefs.ToGRPC(err)
	}
	return &leasesapi.CreateResponse{Lease: &leasesapi.Lease{ID: lease.ID, CreatedAt: lease.CreatedAt, Labels: lease.Labels}}, nil
}

func (s *leaseService) Delete(ctx context.Context, r *leasesapi.DeleteRequest) (*ptypes.Empty, error) {
	return &ptypes.Empty{}, errdefs.ToGRPC(s.manager.Delete(ctx, leases.Lease{ID: r.ID}))
}

func (s *leaseService) AddResource(ctx context.Context, r *leasesapi.AddResourceRequest) (*ptypes.Empty, error) {
	return &ptypes.Empty{}, errdefs.ToGRPC(s.manager.AddResource(ctx, leases.Lease{ID: r.ID}, leases.Resource{ID: r.Resource.ID, Type: r.Resource.Type}))
}
