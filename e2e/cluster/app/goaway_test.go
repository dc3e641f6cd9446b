package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A server ends under load while another takes over: kube-proxy and two pods, without either.
func TestNoRequestIsLostWhenAServerEnds(t *testing.T) {
	for _, kind := range []string{"new", "keep-alive", "http2"} {
		t.Run(kind, func(t *testing.T) {
			for range 5 {
				if lost := lostOverAnEnd(t, kind); lost != "" {
					t.Fatal(lost)
				}
			}
		})
	}
}

func lostOverAnEnd(t *testing.T, kind string) string {
	var address atomic.Pointer[string]
	start := func() (*service, *leaving, *http.Server) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &service{version: "v1", http: newRequests("http", "200", "500")}
		l := newLeaving(listener)
		server := newHTTPServer(http.HandlerFunc(s.handle))
		go func() { _ = server.Serve(l) }()
		now := listener.Addr().String()
		address.Store(&now)
		return s, l, server
	}
	front := httptest.NewUnstartedServer(nil)
	defer front.Listener.Close()
	go forward(front.Listener, &address)

	s, l, server := start()
	target, err := newHTTPTarget("http://"+front.Listener.Addr().String()+"/", "", kind)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var lost atomic.Pointer[string]
	ask := func() {
		if a := target.ask(t.Context()); a.failed() {
			lost.Store(&a.err)
		}
	}
	for n := range 300 {
		if n == 100 {
			_, _, next := start()
			defer next.Close()
			s.draining.Store(true)
			l.begin()
		}
		if n == 200 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			wg.Go(func() { _ = server.Shutdown(ctx) })
		}
		// Several at once, so that some are on their way while another is answered.
		for range 12 {
			wg.Go(ask)
		}
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	if text := lost.Load(); text != nil {
		return *text
	}
	return ""
}

// forward joins each connection to the server that is the newest when it is made.
func forward(listener net.Listener, address *atomic.Pointer[string]) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", *address.Load())
		if err != nil {
			from.Close()
			continue
		}
		join := func(to, from net.Conn) {
			_, _ = to.(*net.TCPConn).ReadFrom(from)
			_ = to.(*net.TCPConn).CloseWrite()
		}
		go join(to, from)
		go join(from, to)
	}
}
