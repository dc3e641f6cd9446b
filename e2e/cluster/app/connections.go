// The three ways in which clients of a plain Service keep their connections. Where kube-proxy chooses a pod per connection,
// the connection decides which pod answers, and for how long.
//
//	new         a connection per request
//	keep-alive  HTTP/1 over 16 connections, in turn
//	http2       HTTP/2 without TLS over 4 connections, in turn
//
// Left out, as many connections are kept as were ever needed at once.

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	keptConnections  = 16
	http2Connections = 4
)

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, address)
}

func newTransport(kind string) (http.RoundTripper, error) {
	switch kind {
	case "":
		return &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 512, DisableCompression: true}, nil
	case "new":
		return &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}, nil
	case "keep-alive":
		return newBounded(), nil
	case "http2":
		return newSpread(), nil
	}
	return nil, fmt.Errorf("-connections is new, keep-alive or http2, not %q", kind)
}

// bounded has a fixed number of connections, and takes the one that was idle for longest.
//
// One transport with as many would take the one that was used last: at a low load the others are idle for long, and a
// server that ends can only close them. A request that is sent at that very moment is lost, and HTTP/1 has no way to
// avoid it but to send it again. In turn, each is used every 16/rate seconds; that is often enough, as long as it is
// less than a pod goes on serving, for each to be told to close by an answer (see handle).
type bounded struct{ idle chan *http.Transport }

func newBounded() *bounded {
	b := &bounded{make(chan *http.Transport, keptConnections)}
	for range keptConnections {
		b.idle <- &http.Transport{DialContext: dial, MaxConnsPerHost: 1, DisableCompression: true}
	}
	return b
}

func (b *bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	select {
	case transport := <-b.idle:
		response, err := transport.RoundTrip(request)
		if err != nil {
			b.idle <- transport
			return nil, err
		}
		response.Body = &returning{response.Body, func() { b.idle <- transport }}
		return response, nil
	case <-request.Context().Done():
		return nil, fmt.Errorf("all %d connections are in use: %w", keptConnections, request.Context().Err())
	}
}

// spread sends over a few connections in turn, many requests at once on each.
type spread struct {
	transports []*http.Transport
	next       atomic.Uint64
}

func newSpread() *spread {
	s := &spread{}
	for range http2Connections {
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		s.transports = append(s.transports, &http.Transport{DialContext: dial, Protocols: &protocols, DisableCompression: true})
	}
	return s
}

func (s *spread) RoundTrip(request *http.Request) (*http.Response, error) {
	return s.transports[s.next.Add(1)%http2Connections].RoundTrip(request)
}

// returning gives a connection back when its answer has been read.
type returning struct {
	io.ReadCloser
	giveBack func()
}

func (r *returning) Close() error {
	err := r.ReadCloser.Close()
	r.giveBack()
	return err
}
