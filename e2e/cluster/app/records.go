// What happened to each request, in the order the answers came, and how it is read:
//
//	GET  /records?since=N  one JSON object per line, from the N-th on; header X-Next is the N to ask with next:
//	                       {"t": unix seconds at start, "ms": latency, "s": status, "v": version, "p": pod, "e": error}
//	                       s is 0 where no answer came; v, p and e are left out when empty
//	GET  /summary          counts
//	POST /stop             stops sending, waits for what is in flight, answers with the summary
//	GET  /healthz

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// 200 requests a second for 80 minutes. Later ones are counted in the summary, but not kept.
const maxRecords = 1_000_000

type record struct {
	start time.Time
	took  time.Duration
	answer
}

// kept is a record without what the garbage collector would have to look at.
type kept struct {
	startNanos              int64
	tookMicros              uint32
	status, version, pod, e uint16
}

type records struct {
	mu     sync.Mutex
	kept   []kept
	counts map[string]int64
	failed int64
	// Versions, pods and errors are few: records hold their place in texts.
	texts  []string
	places map[string]uint16
}

func newRecords() *records {
	return &records{counts: map[string]int64{}, texts: []string{""}, places: map[string]uint16{"": 0}}
}

// place is where a text is kept. Should there ever be too many different ones, the last place stands for the rest.
func (r *records) place(text string) uint16 {
	if p, known := r.places[text]; known {
		return p
	}
	if len(r.texts) == 65535 {
		return r.place("(too many different texts)")
	}
	p := uint16(len(r.texts))
	if len(r.texts) == 65534 {
		text = "(too many different texts)"
	}
	r.texts = append(r.texts, text)
	r.places[text] = p
	return p
}

func (a answer) failed() bool { return a.status == 0 || a.status >= 400 || a.err != "" }

func (r *records) add(x record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[fmt.Sprintf("%s %d", x.version, x.status)]++
	if x.failed() {
		r.failed++
	}
	if len(r.kept) < maxRecords {
		r.kept = append(r.kept, kept{
			x.start.UnixNano(), uint32(x.took.Microseconds()), uint16(x.status), r.place(x.version), r.place(x.pod), r.place(x.err),
		})
	}
}

type line struct {
	Start   float64 `json:"t"`
	Millis  float64 `json:"ms"`
	Status  uint16  `json:"s"`
	Version string  `json:"v,omitempty"`
	Pod     string  `json:"p,omitempty"`
	Error   string  `json:"e,omitempty"`
}

// from gives the records from the n-th on. What is returned is never written to again.
func (r *records) from(n int) (found []kept, texts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(max(n, 0), len(r.kept))
	return r.kept[n:len(r.kept):len(r.kept)], r.texts[:len(r.texts):len(r.texts)]
}

type summary struct {
	Sent     int64 `json:"sent"`
	Done     int   `json:"done"`
	InFlight int64 `json:"inFlight"`
	Failed   int64 `json:"failed"`
	// By "<version> <status>".
	Counts map[string]int64 `json:"counts"`
}

func (l *loader) summary() summary {
	l.records.mu.Lock()
	defer l.records.mu.Unlock()
	s := summary{Sent: l.sent.Load(), InFlight: l.inFlight.Load(), Failed: l.records.failed, Counts: map[string]int64{}}
	for k, n := range l.records.counts {
		s.Counts[k] = n
		s.Done += int(n)
	}
	return s
}

func (l *loader) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /summary", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(l.summary()) })
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		l.halt()
		<-l.finished
		_ = json.NewEncoder(w).Encode(l.summary())
	})
	mux.HandleFunc("GET /records", func(w http.ResponseWriter, r *http.Request) {
		since, _ := strconv.Atoi(r.URL.Query().Get("since"))
		found, texts := l.records.from(since)
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("X-Next", strconv.Itoa(max(since, 0)+len(found)))
		out := bufio.NewWriter(w)
		defer out.Flush()
		encoder := json.NewEncoder(out)
		for _, k := range found {
			_ = encoder.Encode(line{
				float64(k.startNanos) / 1e9, float64(k.tookMicros) / 1e3, k.status, texts[k.version], texts[k.pod], texts[k.e],
			})
		}
	})
	return mux
}
