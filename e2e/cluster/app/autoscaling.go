// The metrics API (metrics.k8s.io/v1beta1), by which a HorizontalPodAutoscaler learns what pods use: `app metrics-api`.
//
// What it gives as cpu is demand: a request per second is a thousandth of a CPU. It is the pods' own count, as Prometheus
// has scraped it; pods of which it has no rate yet are left out, as metrics-server leaves out those it has not measured.
// It is asked when somebody asks here, so that a cluster without autoscalers has no work with it.
//
// Behind the API server, which has looked at the caller's rights; whoever comes here directly is answered as well.

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

const (
	metricsVersion = "metrics.k8s.io/v1beta1"
	// Prometheus scrapes every second; a window of a few is steady enough, and follows the load soon.
	usageWindow    = "6s"
	serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"
)

type object map[string]any

type metricsAPI struct {
	prometheus, apiServer string
	// Trusts the cluster's authority.
	client *http.Client
}

func serveMetricsAPI(args []string) error {
	flags := flag.NewFlagSet("metrics-api", flag.ExitOnError)
	listen := flags.String("listen", ":8443", "address to serve on")
	prometheus := flags.String("prometheus", "http://prometheus.monitoring:9090", "where to ask for rates")
	_ = flags.Parse(args)
	authority, err := os.ReadFile(serviceAccount + "ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	m := &metricsAPI{
		prometheus: *prometheus,
		apiServer:  "https://" + os.Getenv("KUBERNETES_SERVICE_HOST") + ":" + os.Getenv("KUBERNETES_SERVICE_PORT"),
		client:     &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: *listen, Handler: m.routes(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
	}
	return server.ListenAndServeTLS("", "")
}

func (m *metricsAPI) routes() http.Handler {
	const base = "GET /apis/" + metricsVersion
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc(base, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, object{
			"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": metricsVersion,
			"resources": []object{{
				"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": []string{"get", "list"},
			}},
		})
	})
	mux.HandleFunc(base+"/pods", func(w http.ResponseWriter, r *http.Request) { m.list(w, r, "") })
	mux.HandleFunc(base+"/namespaces/{namespace}/pods", func(w http.ResponseWriter, r *http.Request) { m.list(w, r, "") })
	mux.HandleFunc(base+"/namespaces/{namespace}/pods/{name}", func(w http.ResponseWriter, r *http.Request) {
		m.list(w, r, r.PathValue("name"))
	})
	return mux
}

// list answers for the pods that the request selects, or for one by its name.
func (m *metricsAPI) list(w http.ResponseWriter, r *http.Request, name string) {
	found, err := m.usages(r.Context(), r.PathValue("namespace"), r.URL.Query())
	switch {
	case err != nil:
		reply(w, http.StatusServiceUnavailable, failure(http.StatusServiceUnavailable, "ServiceUnavailable", err.Error()))
	case name == "":
		reply(w, http.StatusOK, object{"kind": "PodMetricsList", "apiVersion": metricsVersion, "metadata": object{}, "items": found})
	default:
		for _, usage := range found {
			if usage["metadata"].(object)["name"] == name {
				reply(w, http.StatusOK, usage)
				return
			}
		}
		reply(w, http.StatusNotFound, failure(http.StatusNotFound, "NotFound", "no rate of pod "+name+" is known"))
	}
}

type podList struct {
	Items []struct {
		Metadata struct {
			Name, Namespace string
			Labels          map[string]string
		}
		Spec struct {
			Containers []struct{ Name string }
		}
	}
}

func (m *metricsAPI) usages(ctx context.Context, namespace string, query url.Values) ([]object, error) {
	path := "/api/v1/pods"
	if namespace != "" {
		path = "/api/v1/namespaces/" + namespace + "/pods"
	}
	selected := url.Values{}
	for _, key := range []string{"labelSelector", "fieldSelector"} {
		if value := query.Get(key); value != "" {
			selected.Set(key, value)
		}
	}
	token, err := os.ReadFile(serviceAccount + "token")
	if err != nil {
		return nil, err
	}
	var pods podList
	if err := m.get(ctx, m.apiServer+path+"?"+selected.Encode(), string(token), &pods); err != nil {
		return nil, err
	}
	rates, err := m.rates(ctx, namespace)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	found := []object{}
	for _, pod := range pods.Items {
		rate, known := rates[pod.Metadata.Namespace+"/"+pod.Metadata.Name]
		if !known || len(pod.Spec.Containers) == 0 {
			continue
		}
		found = append(found, object{
			"kind": "PodMetrics", "apiVersion": metricsVersion,
			"metadata":   object{"name": pod.Metadata.Name, "namespace": pod.Metadata.Namespace, "labels": pod.Metadata.Labels},
			"timestamp":  now,
			"window":     usageWindow,
			"containers": []object{{"name": pod.Spec.Containers[0].Name, "usage": object{"cpu": fmt.Sprintf("%.0fm", rate)}}},
		})
	}
	return found, nil
}

// rates gives requests per second by namespace/pod.
func (m *metricsAPI) rates(ctx context.Context, namespace string) (map[string]float64, error) {
	series := `__name__=~"(http|grpc)_requests_total"`
	if namespace != "" {
		series += fmt.Sprintf(",namespace=%q", namespace)
	}
	query := url.Values{"query": {fmt.Sprintf("sum by (namespace, pod) (rate({%s}[%s]))", series, usageWindow)}}
	var answer struct {
		Data struct {
			Result []struct {
				Metric struct{ Namespace, Pod string }
				// When, and the number as text.
				Value [2]any
			}
		}
	}
	if err := m.get(ctx, m.prometheus+"/api/v1/query?"+query.Encode(), "", &answer); err != nil {
		return nil, err
	}
	rates := map[string]float64{}
	for _, result := range answer.Data.Result {
		text, _ := result.Value[1].(string)
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		rates[result.Metric.Namespace+"/"+result.Metric.Pod] = rate
	}
	return rates, nil
}

func (m *metricsAPI) get(ctx context.Context, address, token string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := m.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return fmt.Errorf("%s: %s: %s", address, response.Status, said)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func failure(code int, reason, message string) object {
	return object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
}

func reply(w http.ResponseWriter, code int, body object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
