// SPDX-License-Identifier: Apache-2.0

// Command tap stands between a gRPC client and a server on unix sockets, passes all bytes on as they are, and
// writes a line for every call when it ends:
//
//	/package.Service/Method NAMESPACE LEASE STATUS DIGEST MESSAGE
//
// with - for what was not sent; DIGEST is the blob of a Content/Read. A test sees with it which calls were made, how many, and what they answered,
// without the help of either side.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

func main() {
	address := flag.String("address", "", "socket to listen on")
	target := flag.String("target", "", "socket of the server")
	calls := flag.String("log", "", "file that the lines are appended to")
	flag.Parse()
	if err := serve(*address, *target, *calls); err != nil {
		log.Fatal(err)
	}
}

func serve(address, target, calls string) error {
	file, err := os.OpenFile(calls, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		os.Remove(address)
		os.Exit(0)
	}()
	fmt.Println("listening on", address)
	book := &book{file: file}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go pass(client, target, book)
	}
}

// pass connects to the server for one client. A server that is away looks to the client as it would without us: its
// connection ends.
func pass(client net.Conn, target string, book *book) {
	defer client.Close()
	server, err := net.Dial("unix", target)
	if err != nil {
		return
	}
	defer server.Close()
	connection := &connection{book: book, calls: map[uint32]*call{}}
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		copyAndRead(server, client, connection.readClient)
	}()
	go func() {
		defer both.Done()
		copyAndRead(client, server, connection.readServer)
	}()
	both.Wait()
}
