// The service. HTTP/1, and HTTP/2 without TLS, on :8080 (any path answers; /ready and /metrics are its own) and gRPC on
// :9090 (see echo.go), all with the same behaviour, set by the environment:
//
//	VERSION          what it says it is (header x-version)
//	ERROR_RATE       share of requests that fail, 0 to 1
//	LATENCY_MS       mean time a request takes; uniform between half and one and a half of it
//	READY_AFTER_S    not ready before
//	UNREADY_AFTER_S  not ready from then on
//	CRASH_AFTER_S    exits with code 42 and a last line on stderr
//	DRAIN_S          how long it goes on serving after SIGTERM (3)
//	WORK_RATE        jobs per second that it pulls itself, counted as requests are (0)

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
)

type service struct {
	version, pod       string
	errorRate, latency float64
	http, grpc         *requests
	draining           atomic.Bool
}

// work takes the time a request takes, and says whether it fails.
func (s *service) work() (failed bool) {
	if s.latency > 0 {
		time.Sleep(seconds(s.latency / 1000 * (0.5 + rand.Float64())))
	}
	return rand.Float64() < s.errorRate
}

// crashAtFirst ends the process with an error the first so many times, as one does that waits for its database. The volume
// at /state counts.
func crashAtFirst(times int) {
	const file = "/state/crashes"
	crashes, _ := os.ReadFile(file)
	if len(crashes) >= times {
		return
	}
	if err := os.WriteFile(file, append(crashes, 'x'), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
	}
	fmt.Fprintln(os.Stderr, "fatal: the database does not answer")
	os.Exit(1)
}

func serve() error {
	started := time.Now()
	s := &service{
		version: os.Getenv("VERSION"), pod: os.Getenv("HOSTNAME"),
		errorRate: number("ERROR_RATE", 0), latency: number("LATENCY_MS", 0),
		http: newRequests("http", "200", "500"), grpc: newRequests("grpc", "OK", "Internal"),
	}
	if after := number("CRASH_AFTER_S", 0); after > 0 {
		time.AfterFunc(seconds(after), func() {
			fmt.Fprintln(os.Stderr, "fatal: cannot open ledger: version mismatch (schema 12, want 13)")
			os.Exit(42)
		})
	}
	crashAtFirst(int(number("CRASH_TIMES", 0)))
	if rate := number("WORK_RATE", 0); rate > 0 {
		go s.pull(rate)
	}
	readyAfter, unreadyAfter := number("READY_AFTER_S", 0), number("UNREADY_AFTER_S", 0)

	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		age := time.Since(started).Seconds()
		if age < readyAfter || (unreadyAfter > 0 && age > unreadyAfter) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		s.http.write(w)
		s.grpc.write(w)
	})
	mux.HandleFunc("/", s.handle)

	grpcListener, err := net.Listen("tcp", ":9090")
	if err != nil {
		return err
	}
	grpcServer := grpc.NewServer()
	grpcServer.RegisterService(&echoService, s)
	go func() {
		if err := grpcServer.Serve(grpcListener); err != nil {
			fmt.Fprintln(os.Stderr, "app: grpc:", err)
		}
	}()
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", int(number("PORT", 8080))))
	if err != nil {
		return err
	}
	httpListener := newLeaving(listener)
	httpServer := newHTTPServer(mux)
	drained := make(chan struct{})
	go func() {
		s.drain(httpListener, httpServer, grpcServer)
		close(drained)
	}()
	if err := httpServer.Serve(httpListener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-drained
	return nil
}

// pull works through a queue that never ends, as a worker does whom nobody sends anything.
func (s *service) pull(rate float64) {
	for range time.Tick(seconds(1 / rate)) {
		if s.draining.Load() {
			return
		}
		start, code := time.Now(), http.StatusOK
		if s.work() {
			code = http.StatusInternalServerError
		}
		s.http.observe(fmt.Sprint(code), time.Since(start))
	}
}

func newHTTPServer(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: handler, Protocols: &protocols}
}

func (s *service) handle(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("X-Version", s.version)
	w.Header().Set("X-Pod", s.pod)
	if s.draining.Load() && r.ProtoMajor == 1 {
		// The connection ends with this answer, so that none is idle, with a client about to use it, when the server ends.
		// HTTP/2 is told in its own way: see goaway.go.
		w.Header().Set("Connection", "close")
	}
	code := http.StatusOK
	// What every revision fails, as where something that all of them need is down.
	if s.work() || r.URL.Path == "/broken" {
		code = http.StatusInternalServerError
	}
	w.WriteHeader(code)
	fmt.Fprintln(w, s.version)
	s.http.observe(fmt.Sprint(code), time.Since(start))
}

// drain waits for SIGTERM, goes on serving while the pod's address is being withdrawn everywhere, then finishes what is
// in flight.
func (s *service) drain(httpListener *leaving, httpServer *http.Server, grpcServer *grpc.Server) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	s.draining.Store(true)
	httpListener.begin()
	time.Sleep(seconds(number("DRAIN_S", 3)))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() {
		<-ctx.Done()
		grpcServer.Stop()
	}()
	_ = httpServer.Shutdown(ctx)
	grpcServer.GracefulStop()
}
