// The load client: an open loop, so that a slow or failing service does not make it ask less often, and no retries, so
// that every failed request is seen. Results are read over HTTP while it runs (see records.go).

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// More requests than this at once are not sent but recorded as failed: the client, not the service, would be measured.
const maxInFlight = 4000

// answer is what came back for one request. status is HTTP's, also for gRPC: 200 for OK, 500 for every other code.
type answer struct {
	status       int
	version, pod string
	err          string
}

type target interface {
	ask(ctx context.Context) answer
}

type loader struct {
	target   target
	timeout  time.Duration
	records  *records
	sent     atomic.Int64
	inFlight atomic.Int64
	stop     chan struct{}
	stopOnce sync.Once
	finished chan struct{}
}

func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	url := flags.String("url", "", "http://HOST:PORT/PATH, or HOST:PORT with -grpc")
	host := flags.String("host", "", "Host header, or :authority")
	useGRPC := flags.Bool("grpc", false, "ask "+sayMethod+" over HTTP/2 without TLS")
	connections := flags.String("connections", "", "new, keep-alive or http2 (see connections.go)")
	rate := flags.Float64("rate", 50, "requests per second")
	timeout := flags.Duration("timeout", 10*time.Second, "how long an answer may take")
	duration := flags.Duration("duration", 0, "how long to send; 0: until told to stop")
	results := flags.String("results", ":8090", "address to give results on")
	_ = flags.Parse(args)
	if *url == "" || *rate <= 0 {
		return errors.New("load needs -url and a positive -rate")
	}
	var t target
	var err error
	if *useGRPC {
		t, err = newGRPCTarget(*url, *host)
	} else {
		t, err = newHTTPTarget(*url, *host, *connections)
	}
	if err != nil {
		return err
	}
	l := &loader{
		target: t, timeout: *timeout, records: newRecords(), stop: make(chan struct{}), finished: make(chan struct{}),
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go l.send(*rate, *duration)
	server := &http.Server{Addr: *results, Handler: l.routes()}
	go func() {
		<-signals
		l.halt()
		<-l.finished
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// halt ends the sending. Requests in flight are waited for by send, which then closes finished.
func (l *loader) halt() { l.stopOnce.Do(func() { close(l.stop) }) }

// send keeps the rate by counting: request n is due at start + n/rate, and what is overdue is sent at once, so that a
// starved client catches up instead of silently asking less.
func (l *loader) send(rate float64, duration time.Duration) {
	defer close(l.finished)
	var wg sync.WaitGroup
	defer wg.Wait()
	start := time.Now()
	for n := 0; ; n++ {
		due := seconds(float64(n) / rate)
		if duration > 0 && due >= duration {
			return
		}
		select {
		case <-l.stop:
			return
		case <-time.After(time.Until(start.Add(due))):
		}
		l.sent.Add(1)
		if l.inFlight.Load() >= maxInFlight {
			l.records.add(record{start: time.Now(), answer: answer{err: fmt.Sprintf("not sent: %d in flight", maxInFlight)}})
			continue
		}
		l.inFlight.Add(1)
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer l.inFlight.Add(-1)
			ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
			defer cancel()
			began := time.Now()
			a := l.target.ask(ctx)
			l.records.add(record{start: began, took: time.Since(began), answer: a})
		}()
	}
}
