// SPDX-License-Identifier: Apache-2.0

// Command peer serves one of containerd's own snapshotters on a unix socket, with clonefsd's command
// line: what clonefsd is compared with, and a stand-in for it.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/native"
	"github.com/containerd/containerd/snapshots/overlay"
	"google.golang.org/grpc"
)

func main() {
	kind := flag.String("snapshotter", "native", "native or overlayfs")
	root := flag.String("root", "", "where snapshots are")
	address := flag.String("address", "", "socket to listen on")
	_ = flag.String("log-level", "", "ignored")
	flag.Parse()
	if err := serve(*kind, *root, *address); err != nil {
		log.Fatal(err)
	}
}

func open(kind, root string) (snapshots.Snapshotter, error) {
	switch kind {
	case "native":
		return native.NewSnapshotter(root)
	case "overlayfs":
		return overlay.NewSnapshotter(root)
	}
	return nil, fmt.Errorf("no snapshotter is called %q", kind)
}

func serve(kind, root, address string) error {
	snapshotter, err := open(kind, root)
	if err != nil {
		return err
	}
	defer snapshotter.Close()
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		server.Stop()
	}()
	fmt.Println("listening on", address)
	return server.Serve(listener)
}
