// argocd-tables runs what Argo CD is told of Rollouts through Argo CD's own code, as it stands in argocd-cm: the tables
// beside the scripts (Argo CD's own format), every situation that was recorded on a cluster, and what its comparison makes
// of routes whose weights move.
//
//	argocd-tables argocd crates/view/fixtures/bed
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	appv1 "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const group = "leadsman.dev/Rollout"

type checks struct {
	overrides map[string]appv1.ResourceOverride
	vm        lua.VM
	done      int
	wrong     []string
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(argocd, recorded string) error {
	overrides, err := read(filepath.Join(argocd, "argocd-cm.yaml"))
	if err != nil {
		return err
	}
	c := &checks{overrides: overrides, vm: lua.VM{ResourceOverrides: overrides}}
	folder := filepath.Join(argocd, "resource_customizations", group)
	for _, table := range []func(string) error{c.health, c.actions} {
		if err := table(folder); err != nil {
			return err
		}
	}
	if err := c.recorded(recorded); err != nil {
		return err
	}
	if err := c.routes(); err != nil {
		return err
	}
	if len(c.wrong) > 0 {
		return fmt.Errorf("%d of %d are wrong:\n%s", len(c.wrong), c.done, strings.Join(c.wrong, "\n"))
	}
	fmt.Printf("%d answers of Argo CD's code are as they should be\n", c.done)
	return nil
}

// The settings that Argo CD reads from the map.
func read(path string) (map[string]appv1.ResourceOverride, error) {
	var config struct{ Data map[string]string }
	if err := unmarshal(path, &config); err != nil {
		return nil, err
	}
	var override appv1.ResourceOverride
	for key, text := range config.Data {
		switch key {
		case "resource.customizations.health.leadsman.dev_Rollout":
			override.HealthLua = text
		case "resource.customizations.actions.leadsman.dev_Rollout":
			override.Actions = text
		case "resource.customizations.knownTypeFields.leadsman.dev_Rollout":
			if err := yaml.UnmarshalStrict([]byte(text), &override.KnownTypeFields); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%s: nobody knows %s", path, key)
		}
	}
	return map[string]appv1.ResourceOverride{group: override}, nil
}

// health_test.yaml: what is said of each object.
func (c *checks) health(folder string) error {
	var table struct {
		Tests []struct {
			InputPath    string              `json:"inputPath"`
			HealthStatus health.HealthStatus `json:"healthStatus"`
		} `json:"tests"`
	}
	if err := unmarshal(filepath.Join(folder, "health_test.yaml"), &table); err != nil {
		return err
	}
	for _, test := range table.Tests {
		object, err := object(filepath.Join(folder, test.InputPath))
		if err != nil {
			return err
		}
		said, err := lua.ResourceHealthOverrides(c.overrides).GetResourceHealth(object)
		if err != nil {
			return fmt.Errorf("%s: %w", test.InputPath, err)
		}
		c.same(test.InputPath, test.HealthStatus, *said)
	}
	return nil
}

// action_test.yaml: which actions are offered, and what each of them writes.
func (c *checks) actions(folder string) error {
	folder = filepath.Join(folder, "actions")
	var table struct {
		DiscoveryTests []struct {
			InputPath string                 `json:"inputPath"`
			Result    []appv1.ResourceAction `json:"result"`
		} `json:"discoveryTests"`
		ActionTests []struct {
			Action             string `json:"action"`
			InputPath          string `json:"inputPath"`
			ExpectedOutputPath string `json:"expectedOutputPath"`
		} `json:"actionTests"`
	}
	if err := unmarshal(filepath.Join(folder, "action_test.yaml"), &table); err != nil {
		return err
	}
	for _, test := range table.DiscoveryTests {
		object, err := object(filepath.Join(folder, test.InputPath))
		if err != nil {
			return err
		}
		offered, err := c.offered(object)
		if err != nil {
			return fmt.Errorf("%s: %w", test.InputPath, err)
		}
		expected := map[string]bool{}
		for _, action := range test.Result {
			expected[action.Name] = !action.Disabled
		}
		c.same("discovery of "+test.InputPath, expected, offered)
	}
	for _, test := range table.ActionTests {
		before, err := object(filepath.Join(folder, test.InputPath))
		if err != nil {
			return err
		}
		expected, err := object(filepath.Join(folder, test.ExpectedOutputPath))
		if err != nil {
			return err
		}
		after, err := c.act(before, test.Action)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", test.Action, test.InputPath, err)
		}
		for _, it := range []*unstructured.Unstructured{expected, after} {
			at, found, _ := unstructured.NestedString(it.Object, "spec", "restartAt")
			if _, err := time.Parse(time.RFC3339, at); found && err == nil {
				_ = unstructured.SetNestedField(it.Object, "an instant", "spec", "restartAt")
			}
		}
		c.same(test.Action+" of "+test.InputPath, expected.Object, after.Object)
	}
	return nil
}

// What was recorded on a cluster: health follows the phase, and what the operator offers is what Argo CD offers, on the
// same revision.
func (c *checks) recorded(folder string) error {
	healths := map[string]health.HealthStatusCode{
		"Healthy": health.HealthStatusHealthy, "Progressing": health.HealthStatusProgressing,
		"Paused": health.HealthStatusSuspended, "RollingBack": health.HealthStatusProgressing,
		"RolledBack": health.HealthStatusDegraded, "Invalid": health.HealthStatusDegraded,
		// Stable lacks pods, which come again: a sync that is under way is not failed for it.
		"Degraded": health.HealthStatusProgressing,
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return err
	}
	phases := map[string]bool{}
	for _, file := range files {
		var situation struct{ Objects []map[string]any }
		if err := unmarshal(file, &situation); err != nil {
			return err
		}
		rollout := unstructured.Unstructured{Object: situation.Objects[0]}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		phase, _, _ := unstructured.NestedString(rollout.Object, "status", "phase")
		message, _, _ := unstructured.NestedString(rollout.Object, "status", "message")
		phases[phase] = true
		said, err := lua.ResourceHealthOverrides(c.overrides).GetResourceHealth(&rollout)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		expected := healths[phase]
		if stalled(&rollout) {
			expected = health.HealthStatusDegraded
		}
		c.same(name, health.HealthStatus{Status: expected, Message: message}, *said)
		if err := c.commands(name, &rollout); err != nil {
			return err
		}
	}
	c.same("recorded phases", len(healths), len(phases))
	return nil
}

func (c *checks) commands(name string, rollout *unstructured.Unstructured) error {
	expected := map[string]bool{"restart": true}
	for _, verb := range []string{"promote", "promote-full", "abort", "retry", "pause", "resume", "rollback"} {
		expected[verb] = false
	}
	commands, _, _ := unstructured.NestedSlice(rollout.Object, "status", "commands")
	for _, it := range commands {
		command := it.(map[string]any)
		verb, hash := command["verb"].(string), command["hash"].(string)
		expected[verb] = command["refused"] == nil
		after, err := c.act(rollout, verb)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", verb, name, err)
		}
		// Argo CD writes whatever differs, the status among it: nothing else may have been lost between JSON and Lua.
		wanted := rollout.DeepCopy()
		annotations := wanted.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations["leadsman.dev/command"] = verb + "/" + hash + "/argo-cd-" + rollout.GetResourceVersion()
		annotations["leadsman.dev/command-by"] = "Argo CD"
		wanted.SetAnnotations(annotations)
		c.same(verb+" of "+name, wanted.Object, after.Object)
	}
	offered, err := c.offered(rollout)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c.same("discovery of "+name, expected, offered)
	return nil
}

// Each action, and whether its button can be pressed.
func (c *checks) offered(object *unstructured.Unstructured) (map[string]bool, error) {
	scripts, err := c.vm.GetResourceActionDiscovery(object)
	if err != nil {
		return nil, err
	}
	actions, err := c.vm.ExecuteResourceActionDiscovery(object, scripts)
	if err != nil {
		return nil, err
	}
	offered := map[string]bool{}
	for _, action := range actions {
		offered[action.Name] = !action.Disabled
	}
	return offered, nil
}

func (c *checks) act(object *unstructured.Unstructured, action string) (*unstructured.Unstructured, error) {
	definition, err := c.vm.GetResourceAction(object, action)
	if err != nil {
		return nil, err
	}
	impacted, err := c.vm.ExecuteResourceAction(object, definition.ActionLua, nil)
	if err != nil {
		return nil, err
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		return nil, fmt.Errorf("it is to change the Rollout and nothing else: %v", impacted)
	}
	return impacted[0].UnstructuredObj, nil
}

func stalled(rollout *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(rollout.Object, "status", "conditions")
	for _, it := range conditions {
		if condition := it.(map[string]any); condition["type"] == "Stalled" && condition["status"] == "True" {
			return true
		}
	}
	return false
}

func (c *checks) same(what string, expected, found any) {
	c.done++
	// Lua has one kind of number.
	c.wrong = append(c.wrong, differences(what, plain(expected), plain(found))...)
}

// Where two values differ, and how.
func differences(where string, expected, found any) (all []string) {
	if reflect.DeepEqual(expected, found) {
		return nil
	}
	ours, isMap := expected.(map[string]any)
	theirs, isToo := found.(map[string]any)
	if !isMap || !isToo {
		return []string{fmt.Sprintf("%s:\n  expected %s\n  found    %s", where, text(expected), text(found))}
	}
	keys := maps.Clone(ours)
	maps.Copy(keys, theirs)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, differences(where+"."+key, ours[key], theirs[key])...)
	}
	return all
}

func plain(value any) (plain any) {
	_ = json.Unmarshal([]byte(text(value)), &plain)
	return plain
}

func text(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func object(path string) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	return object, unmarshal(path, &object.Object)
}

func unmarshal(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
