// Counters and a histogram in Prometheus' text format. Every series is there from the start, with 0, so that a rate
// over a fresh pod has a value.

package main

import (
	"fmt"
	"io"
	"sort"
	"sync"
	"time"
)

var bounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

// requests counts the requests of one protocol: <name>_requests_total{code} and <name>_request_duration_seconds.
type requests struct {
	name    string
	mu      sync.Mutex
	codes   []string
	byCode  map[string]uint64
	buckets []uint64
	sum     float64
}

func newRequests(name string, codes ...string) *requests {
	return &requests{name: name, codes: codes, byCode: map[string]uint64{}, buckets: make([]uint64, len(bounds)+1)}
}

func (r *requests) observe(code string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byCode[code]++
	r.buckets[sort.SearchFloat64s(bounds, took.Seconds())]++
	r.sum += took.Seconds()
}

func (r *requests) write(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(w, "# TYPE %s_requests_total counter\n", r.name)
	for _, code := range r.codes {
		fmt.Fprintf(w, "%s_requests_total{code=%q} %d\n", r.name, code, r.byCode[code])
	}
	duration := r.name + "_request_duration_seconds"
	fmt.Fprintf(w, "# TYPE %s histogram\n", duration)
	var total uint64
	for i, bound := range bounds {
		total += r.buckets[i]
		fmt.Fprintf(w, "%s_bucket{le=\"%g\"} %d\n", duration, bound, total)
	}
	total += r.buckets[len(bounds)]
	fmt.Fprintf(w, "%s_bucket{le=\"+Inf\"} %d\n%s_sum %g\n%s_count %d\n", duration, total, duration, r.sum, duration, total)
}
