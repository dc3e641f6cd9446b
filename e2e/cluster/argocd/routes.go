package main

import (
	"encoding/json"
	"fmt"

	appv1 "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	argodiff "github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	jsonpatch "github.com/evanphx/json-patch"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A kind of route: where its rules stand, and in them the backends.
type kind struct {
	group, version, name, rules, backends string
}

var kinds = []kind{
	{"gateway.networking.k8s.io", "v1", "HTTPRoute", "rules", "backendRefs"},
	{"networking.istio.io", "v1", "VirtualService", "http", "route"},
}

// What becomes of routes of Git's while a release moves their weights, and of an edit of them in Git.
func (c *checks) routes() error {
	for _, kind := range kinds {
		if err := c.route(kind); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	return nil
}

func (c *checks) route(kind kind) error {
	// The weights left alone: what everybody writes first.
	ignored := []appv1.ResourceIgnoreDifferences{{
		Group: kind.group, Kind: kind.name,
		JQPathExpressions: []string{fmt.Sprintf(".spec.%s[]?.%s[]?.weight", kind.rules, kind.backends)},
	}}
	plain, edited := kind.object(100, 0, ""), kind.object(100, 0, "20s")
	live := kind.object(75, 25, "")
	if err := lastApplied(live, plain); err != nil {
		return err
	}
	rest := kind.object(100, 0, "")
	if err := lastApplied(rest, plain); err != nil {
		return err
	}
	for _, it := range []struct {
		what     string
		live     *unstructured.Unstructured
		git      *unstructured.Unstructured
		ignores  []appv1.ResourceIgnoreDifferences
		differs  bool
		respects bool
		// What a sync applies: the canary's weight, and the timeout.
		weight  int64
		timeout string
	}{
		{"at rest", rest, plain, nil, false, false, 0, ""},
		{"in a release", live, plain, nil, true, false, 0, ""},
		{"in a release, weights ignored", live, plain, ignored, false, false, 0, ""},
		{"edited in a release, weights ignored", live, edited, ignored, true, false, 0, "20s"},
		// Weights are kept, and with them the whole list that they stand in: the edit never arrives.
		{"in a release, weights respected", live, plain, ignored, false, true, 25, ""},
		{"edited in a release, weights respected", live, edited, ignored, true, true, 25, ""},
		{"edited at rest, weights respected", rest, edited, ignored, true, true, 0, ""},
	} {
		config, err := argodiff.NewDiffConfigBuilder().
			WithDiffSettings(it.ignores, c.overrides, false, normalizers.IgnoreNormalizerOpts{}).
			WithTracking("", "").WithNoCache().Build()
		if err != nil {
			return err
		}
		found, err := argodiff.StateDiff(it.live, it.git, config)
		if err != nil {
			return fmt.Errorf("%s: %w", it.what, err)
		}
		c.same("a "+kind.name+" "+it.what+": OutOfSync", it.differs, found.Modified)
		applied := it.git
		if it.respects {
			if applied, err = respecting(it.live, it.git, config); err != nil {
				return fmt.Errorf("%s: %w", it.what, err)
			}
		}
		weight, timeout := kind.weightAndTimeout(applied)
		c.same("a "+kind.name+" "+it.what+": weight that a sync applies", it.weight, weight)
		c.same("a "+kind.name+" "+it.what+": timeout that a sync applies", it.timeout, timeout)
	}
	return nil
}

// RespectIgnoreDifferences: what the live object has of what is ignored goes into Git's before it is applied. Argo CD's
// controller does it so, with a merge patch, for a kind whose lists it knows no keys of (controller/sync.go).
func respecting(live, git *unstructured.Unstructured, config argodiff.DiffConfig) (*unstructured.Unstructured, error) {
	normalized, err := argodiff.Normalize([]*unstructured.Unstructured{live}, []*unstructured.Unstructured{git}, config)
	if err != nil {
		return nil, err
	}
	without, err := normalized.Lives[0].MarshalJSON()
	if err != nil {
		return nil, err
	}
	with, err := live.MarshalJSON()
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(without, with)
	if err != nil {
		return nil, err
	}
	target, err := normalized.Targets[0].MarshalJSON()
	if err != nil {
		return nil, err
	}
	merged, err := jsonpatch.MergePatch(target, patch)
	if err != nil {
		return nil, err
	}
	applied := &unstructured.Unstructured{}
	return applied, applied.UnmarshalJSON(merged)
}

func (k kind) object(stable, canary int64, timeout string) *unstructured.Unstructured {
	backend := func(name string, weight int64) any { return map[string]any{"name": name, "weight": weight} }
	rule := map[string]any{k.backends: []any{backend("podinfo-stable", stable), backend("podinfo-canary", canary)}}
	// Something beside the backends; Argo CD knows no schema of the kind, and so no field from another.
	if timeout != "" {
		rule["timeout"] = timeout
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": k.group + "/" + k.version, "kind": k.name,
		"metadata": map[string]any{"name": "podinfo", "namespace": "shop"},
		"spec":     map[string]any{k.rules: []any{rule}},
	}}
}

func (k kind) weightAndTimeout(route *unstructured.Unstructured) (weight int64, timeout string) {
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", k.rules)
	rule := rules[0].(map[string]any)
	backends, _, _ := unstructured.NestedSlice(rule, k.backends)
	weight, _, _ = unstructured.NestedInt64(backends[1].(map[string]any), "weight")
	timeout, _, _ = unstructured.NestedString(rule, "timeout")
	return weight, timeout
}

func lastApplied(live, git *unstructured.Unstructured) error {
	text, err := json.Marshal(git.Object)
	live.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(text)})
	return err
}
