// A gateway as clouds have them (`app slow-gateway`): its controller accepts a route at once, and the balancer behind it
// follows when it follows. Weights come some seconds late, and endpoints later still, those that are gone among them.

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	account        = "/var/run/secrets/kubernetes.io/serviceaccount/"
	controllerName = "example.com/slow-gateway"
	lookEvery      = 250 * time.Millisecond
)

type slowGateway struct {
	namespace, name      string
	routesLate, endsLate time.Duration
	api                  *http.Client
	token                string
	mu                   sync.Mutex
	routes               history[[]backend]
	endpoints            history[map[string][]string]
	generation           int64
}

// backend is a Service with its port and its share.
type backend struct {
	Name   string `json:"name"`
	Port   int    `json:"port"`
	Weight int    `json:"weight"`
}

// history is what was seen, and when: what is in force is the newest that is old enough.
type history[T any] struct {
	seen []sighting[T]
}

type sighting[T any] struct {
	at   time.Time
	what T
}

func (h *history[T]) add(at time.Time, what T) { h.seen = append(h.seen, sighting[T]{at, what}) }

// before gives what was in force at an instant, and forgets what was before that.
func (h *history[T]) before(at time.Time) (found T) {
	for len(h.seen) > 1 && !h.seen[1].at.After(at) {
		h.seen = h.seen[1:]
	}
	if len(h.seen) > 0 && !h.seen[0].at.After(at) {
		found = h.seen[0].what
	}
	return found
}

func serveSlowGateway(args []string) error {
	flags := flag.NewFlagSet("slow-gateway", flag.ExitOnError)
	gateway := &slowGateway{namespace: os.Getenv("NAMESPACE")}
	flags.StringVar(&gateway.name, "gateway", "", "parent of the routes that are its own")
	flags.DurationVar(&gateway.routesLate, "routes", 8*time.Second, "how late weights are in force")
	flags.DurationVar(&gateway.endsLate, "endpoints", 20*time.Second, "how late endpoints are known, and known to be gone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := gateway.connect(); err != nil {
		return err
	}
	go func() {
		for ; ; time.Sleep(lookEvery) {
			if err := gateway.look(); err != nil {
				log.Print(err)
			}
		}
	}()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.Out.URL.Scheme = "http"
			request.Out.URL.Host = request.In.Header.Get("x-endpoint")
			request.Out.Header.Del("x-endpoint")
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Second},
	}
	return http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		endpoint := gateway.choose()
		if endpoint == "" {
			http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
			return
		}
		r.Header.Set("x-endpoint", endpoint)
		proxy.ServeHTTP(w, r)
	}))
}

// choose gives an endpoint of the backend whose turn it is, as far as the balancer knows.
func (g *slowGateway) choose() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	backends, endpoints := g.routes.before(now.Add(-g.routesLate)), g.endpoints.before(now.Add(-g.endsLate))
	total := 0
	for _, it := range backends {
		total += it.Weight
	}
	if total == 0 {
		return ""
	}
	turn := rand.IntN(total)
	for _, it := range backends {
		if turn -= it.Weight; turn < 0 {
			known := endpoints[it.Name]
			if len(known) == 0 {
				return ""
			}
			return known[rand.IntN(len(known))]
		}
	}
	return ""
}

// look reads the route and the endpoints, and accepts the route.
func (g *slowGateway) look() error {
	var routes struct {
		Items []struct {
			Metadata struct {
				Name       string `json:"name"`
				Generation int64  `json:"generation"`
			} `json:"metadata"`
			Spec struct {
				ParentRefs []struct{ Name string } `json:"parentRefs"`
				Rules      []struct {
					BackendRefs []backend `json:"backendRefs"`
				} `json:"rules"`
			} `json:"spec"`
		} `json:"items"`
	}
	if err := g.get("gateway.networking.k8s.io/v1", "httproutes", &routes); err != nil {
		return err
	}
	var slices struct {
		Items []struct {
			Metadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
			Ports []struct {
				Port int `json:"port"`
				Name string
			} `json:"ports"`
			Endpoints []struct {
				Addresses  []string `json:"addresses"`
				Conditions struct{ Ready *bool }
			} `json:"endpoints"`
		} `json:"items"`
	}
	if err := g.get("discovery.k8s.io/v1", "endpointslices", &slices); err != nil {
		return err
	}
	endpoints := map[string][]string{}
	for _, slice := range slices.Items {
		service := slice.Metadata.Labels["kubernetes.io/service-name"]
		for _, port := range slice.Ports {
			if port.Name != "http" {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				if ready := endpoint.Conditions.Ready; ready == nil || *ready {
					address := endpoint.Addresses[0] + ":" + strconv.Itoa(port.Port)
					endpoints[service] = append(endpoints[service], address)
				}
			}
		}
	}
	now := time.Now()
	g.mu.Lock()
	g.endpoints.add(now, endpoints)
	g.mu.Unlock()
	for _, route := range routes.Items {
		if len(route.Spec.ParentRefs) == 0 || route.Spec.ParentRefs[0].Name != g.name || len(route.Spec.Rules) == 0 {
			continue
		}
		g.mu.Lock()
		g.routes.add(now, route.Spec.Rules[0].BackendRefs)
		g.mu.Unlock()
		if route.Metadata.Generation != g.generation {
			if err := g.accept(route.Metadata.Name, route.Metadata.Generation); err != nil {
				return err
			}
			g.generation = route.Metadata.Generation
		}
	}
	return nil
}

func (g *slowGateway) accept(route string, generation int64) error {
	condition := func(kind string) map[string]any {
		return map[string]any{
			"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation,
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}
	}
	parent := map[string]any{
		"parentRef": map[string]any{"name": g.name}, "controllerName": controllerName,
		"conditions": []any{condition("Accepted"), condition("ResolvedRefs")},
	}
	body, err := json.Marshal(map[string]any{"status": map[string]any{"parents": []any{parent}}})
	if err != nil {
		return err
	}
	return g.ask(http.MethodPatch, "gateway.networking.k8s.io/v1", "httproutes/"+route+"/status", body, nil)
}

func (g *slowGateway) connect() error {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("no certificate of the API server's authority")
	}
	g.token = strings.TrimSpace(string(token))
	g.api = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return nil
}

func (g *slowGateway) get(group, what string, into any) error {
	return g.ask(http.MethodGet, group, what, nil, into)
}

func (g *slowGateway) ask(method, group, what string, body []byte, into any) error {
	url := fmt.Sprintf("https://%s:%s/apis/%s/namespaces/%s/%s", os.Getenv("KUBERNETES_SERVICE_HOST"),
		os.Getenv("KUBERNETES_SERVICE_PORT"), group, g.namespace, what)
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+g.token)
	request.Header.Set("Content-Type", "application/merge-patch+json")
	answer, err := g.api.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %.300s", method, what, answer.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
