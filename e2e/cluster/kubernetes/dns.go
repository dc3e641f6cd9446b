// The cluster's DNS server: A records for Services, straight from the API server's watch. What it leaves out of the
// Kubernetes DNS specification: pod names, SRV, PTR, IPv6, TCP, and every name outside the cluster's domain.

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// Short, so that a Service made a moment ago is not hidden by an answer from before.
const ttlSeconds = 1

func newClusterDNSCommand() *cobra.Command {
	var kubeconfig, listen, domain string
	cmd := &cobra.Command{
		Use:          "cluster-dns",
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveDNS(cmd.Context(), kubeconfig, listen, domain)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:53", "UDP address to answer on")
	cmd.Flags().StringVar(&domain, "domain", "cluster.local", "the cluster's domain")
	return cmd
}

// zone answers names from the informers' stores.
type zone struct {
	suffix   string // ".svc.cluster.local"
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

func serveDNS(ctx context.Context, kubeconfig, listen, domain string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	z := &zone{
		suffix:   ".svc." + domain,
		services: factory.Core().V1().Services().Lister(),
		slices:   factory.Discovery().V1().EndpointSlices().Lister(),
	}
	if ctx == nil {
		ctx = context.Background()
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	conn, err := net.ListenPacket("udp", listen)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Printf("%s answering for %s on %s\n", time.Now().Format(time.RFC3339), domain, listen)
	query := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(query)
		if err != nil {
			return err
		}
		if answer, err := z.answer(query[:n]); err == nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

// answer is the reply to one packet: addresses for A, an empty answer for other types of a name that exists, NXDOMAIN
// for a name that does not. Resolvers ask for A and AAAA together and take NXDOMAIN to either as the end of both.
func (z *zone) answer(packet []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(packet)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	addresses, exists := z.lookup(question.Name.String())
	reply := dnsmessage.Header{
		ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
	}
	if !exists {
		reply.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, reply)
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(question); err != nil {
		return nil, err
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	if question.Type == dnsmessage.TypeA {
		for _, a := range addresses {
			h := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: ttlSeconds}
			if err := b.AResource(h, dnsmessage.AResource{A: a.As4()}); err != nil {
				return nil, err
			}
		}
	}
	return b.Finish()
}

// lookup finds <service>.<namespace>.svc.<domain>. A headless Service has its ready endpoints' addresses.
func (z *zone) lookup(name string) (addresses []netip.Addr, exists bool) {
	rest, inZone := strings.CutSuffix(strings.ToLower(strings.TrimSuffix(name, ".")), z.suffix)
	if !inZone {
		return nil, false
	}
	service, namespace, two := strings.Cut(rest, ".")
	if !two {
		return nil, false
	}
	s, err := z.services.Services(namespace).Get(service)
	if err != nil {
		return nil, false
	}
	if s.Spec.ClusterIP != corev1.ClusterIPNone {
		if a, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil && a.Is4() {
			addresses = append(addresses, a)
		}
		return addresses, true
	}
	ofService := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service})
	slices, err := z.slices.EndpointSlices(namespace).List(ofService)
	if err != nil {
		return nil, true
	}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
				continue
			}
			for _, address := range endpoint.Addresses {
				if a, err := netip.ParseAddr(address); err == nil && a.Is4() {
					addresses = append(addresses, a)
				}
			}
		}
	}
	return addresses, true
}
