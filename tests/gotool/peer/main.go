// SPDX-License-Identifier: Apache-2.0

// Command peer serves one of containerd's own snapshotters, its local content store and its walking differ on a unix
// socket, with clonefsd's command line: what clonefsd is compared with, and a stand-in for it.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/containerd/services/content/contentserver"
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/native"
	"github.com/containerd/containerd/snapshots/overlay"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
)

type options struct {
	snapshotter string
	root        string
	address     string
	labels      bool
	syncNames   bool
	asyncRemove bool
}

func main() {
	o := options{}
	flag.StringVar(&o.snapshotter, "snapshotter", "native", "native or overlayfs")
	flag.StringVar(&o.root, "root", "", "where snapshots are, and content in a folder of that name")
	flag.StringVar(&o.address, "address", "", "socket to listen on")
	flag.BoolVar(&o.labels, "content-labels", true, "keep labels of content, in memory")
	flag.BoolVar(&o.syncNames, "sync-names", false, "flush a committed blob's name too, see durable.go")
	flag.BoolVar(&o.asyncRemove, "async-remove", false, "overlayfs: delete in Cleanup, not in Remove, as containerd has it set")
	_ = flag.String("log-level", "", "ignored")
	_ = flag.String("config", "", "ignored")
	flag.Parse()
	// Its errors are answers to a client here, which expects most of them.
	logrus.SetLevel(logrus.FatalLevel)
	if err := o.serve(); err != nil {
		log.Fatal(err)
	}
}

func (o options) openSnapshotter() (snapshots.Snapshotter, error) {
	switch o.snapshotter {
	case "native":
		return native.NewSnapshotter(o.root)
	case "overlayfs":
		if o.asyncRemove {
			return overlay.NewSnapshotter(o.root, overlay.AsynchronousRemove)
		}
		return overlay.NewSnapshotter(o.root)
	}
	return nil, fmt.Errorf("no snapshotter is called %q", o.snapshotter)
}

func (o options) serve() error {
	snapshotter, err := o.openSnapshotter()
	if err != nil {
		return err
	}
	defer snapshotter.Close()
	blobs, err := openContent(filepath.Join(o.root, "content"), o.labels, o.syncNames)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", o.address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16<<20), grpc.MaxSendMsgSize(16<<20))
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	contentapi.RegisterContentServer(server, contentserver.New(blobs))
	diffapi.RegisterDiffServer(server, newDiffer(blobs))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		server.Stop()
	}()
	fmt.Println("listening on", o.address)
	return server.Serve(listener)
}
