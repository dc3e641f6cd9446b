// The gRPC side of the service: /leadsman.e2e.Echo/Say, a string in and the version out, declared by hand so that no
// code generator is needed. Response headers x-version and x-pod as over HTTP.

package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const sayMethod = "/leadsman.e2e.Echo/Say"

type echo interface {
	say(ctx context.Context) (*wrapperspb.StringValue, error)
}

var echoService = grpc.ServiceDesc{
	ServiceName: "leadsman.e2e.Echo",
	HandlerType: (*echo)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Say",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(new(wrapperspb.StringValue)); err != nil {
				return nil, err
			}
			return srv.(echo).say(ctx)
		},
	}},
}

func (s *service) say(ctx context.Context) (*wrapperspb.StringValue, error) {
	start := time.Now()
	code := codes.OK
	if s.work() {
		code = codes.Internal
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-version", s.version, "x-pod", s.pod))
	s.grpc.observe(code.String(), time.Since(start))
	if code != codes.OK {
		return nil, status.Error(code, "as asked for by ERROR_RATE")
	}
	return wrapperspb.String(s.version), nil
}
