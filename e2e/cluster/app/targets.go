// How the load client asks: over HTTP (see connections.go) or gRPC, never twice for one request.

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type httpTarget struct {
	url, host string
	isHTTP2   bool
	client    *http.Client
}

func newHTTPTarget(url, host, connections string) (*httpTarget, error) {
	transport, err := newTransport(connections)
	if err != nil {
		return nil, err
	}
	return &httpTarget{url: url, host: host, isHTTP2: connections == "http2", client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     transport,
	}}, nil
}

// onceOnly is a body that the transport cannot read anew. Together with POST it keeps Go from sending a request a second
// time, unseen, when a kept connection turns out to be closed.
type onceOnly struct {
	io.Reader
	begun atomic.Bool
}

func newBody() *onceOnly { return &onceOnly{Reader: strings.NewReader("?")} }

func (o *onceOnly) Read(into []byte) (int, error) {
	o.begun.Store(true)
	return o.Reader.Read(into)
}

func (*onceOnly) Close() error { return nil }

// again is the body anew, as long as nobody has begun to send it.
func (o *onceOnly) again() (io.ReadCloser, error) {
	if o.begun.Load() {
		return nil, errors.New("it was sent once")
	}
	return newBody(), nil
}

func (t *httpTarget) ask(ctx context.Context) answer {
	body := newBody()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, body)
	if err != nil {
		return answer{err: err.Error()}
	}
	request.ContentLength = 1
	if t.isHTTP2 {
		// A connection that was told to leave between the choice of it and the request takes none: Go looks for another one,
		// and needs the body for it. Nothing was sent.
		request.GetBody = body.again
	}
	request.Host = t.host
	response, err := t.client.Do(request)
	if err != nil {
		return answer{err: err.Error()}
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	a := answer{status: response.StatusCode, version: response.Header.Get("X-Version"), pod: response.Header.Get("X-Pod")}
	switch {
	case err != nil:
		a.status, a.err = 0, "body: "+err.Error()
	case a.version == "":
		// Not from the service: what the proxy says is worth keeping.
		a.err = string(said[:min(len(said), 160)])
	}
	return a
}

type grpcTarget struct{ conn *grpc.ClientConn }

func newGRPCTarget(address, authority string) (*grpcTarget, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
	}
	if authority != "" {
		options = append(options, grpc.WithAuthority(authority))
	}
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return nil, err
	}
	return &grpcTarget{conn}, nil
}

func (t *grpcTarget) ask(ctx context.Context) answer {
	var header metadata.MD
	err := t.conn.Invoke(ctx, sayMethod, wrapperspb.String("?"), new(wrapperspb.StringValue), grpc.Header(&header), grpc.WaitForReady(false))
	a := answer{status: http.StatusOK}
	if v := header.Get("x-version"); len(v) > 0 {
		a.version = v[0]
	}
	if v := header.Get("x-pod"); len(v) > 0 {
		a.pod = v[0]
	}
	if err != nil {
		a.status = http.StatusInternalServerError
		a.err = status.Code(err).String() + ": " + status.Convert(err).Message()
	}
	return a
}
