// Command app is the traffic of the end-to-end cluster: a service whose behaviour is set by its environment (no
// arguments; see serve.go), a client that sends requests at a steady rate and accounts for every one of them
// (`app load`; see load.go), a smoke test (`app check`; see check.go), the metrics API by which autoscalers follow that
// traffic (`app metrics-api`; see autoscaling.go), and a gateway as clouds have them (`app slow-gateway`; see slowgateway.go).
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "load":
		err = load(os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "check":
		err = check(os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "metrics-api":
		err = serveMetricsAPI(os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "slow-gateway":
		err = serveSlowGateway(os.Args[2:])
	default:
		err = serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

// number is an environment variable's value, or the default where it is unset or no number.
func number(key string, otherwise float64) float64 {
	if v, err := strconv.ParseFloat(os.Getenv(key), 64); err == nil {
		return v
	}
	return otherwise
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
