{{- /* Written by cargo xtask chart from src/runtime/rbac.rs. */ -}}
{{- define "leadsman.rules" -}}
- apiGroups: ["leadsman.dev"]
  resources: ["rollouts"]
  verbs: ["get", "list", "watch", "patch"]
- apiGroups: ["leadsman.dev"]
  resources: ["rollouts/status"]
  verbs: ["update"]
- apiGroups: ["leadsman.dev"]
  resources: ["rollouts/finalizers"]
  verbs: ["update"]
- apiGroups: ["leadsman.dev"]
  resources: ["rolloutreports"]
  verbs: ["get", "list", "create", "update", "delete"]
- apiGroups: ["leadsman.dev"]
  resources: ["analysistemplates"]
  verbs: ["get", "list", "watch"]
{{- if not .Values.watchNamespaces }}
- apiGroups: ["leadsman.dev"]
  resources: ["clusteranalysistemplates"]
  verbs: ["get", "list", "watch"]
{{- end }}
- apiGroups: ["apps"]
  resources: ["replicasets"]
  verbs: ["get", "list", "watch", "create", "patch", "delete"]
- apiGroups: [""]
  resources: ["services"]
  verbs: ["get", "list", "watch", "create", "patch", "delete"]
- apiGroups: [""]
  resources: ["pods"]
  verbs: ["list"]
{{- if .Values.features.logs }}
- apiGroups: [""]
  resources: ["pods/log"]
  verbs: ["get"]
{{- end }}
{{- if .Values.features.eviction }}
- apiGroups: [""]
  resources: ["pods/eviction"]
  verbs: ["create"]
{{- end }}
- apiGroups: [""]
  resources: ["events"]
  verbs: ["list"]
{{- if include "leadsman.readsSecrets" . }}
- apiGroups: [""]
  resources: ["secrets"]
  verbs: ["get"]
{{- if eq .Values.features.secrets.mode "Named" }}
  resourceNames: {{ .Values.features.secrets.names | toJson }}
{{- end }}
{{- end }}
{{- if .Values.features.jobs }}
- apiGroups: ["batch"]
  resources: ["jobs"]
  verbs: ["get", "create", "delete"]
{{- end }}
- apiGroups: ["discovery.k8s.io"]
  resources: ["endpointslices"]
  verbs: ["list", "watch"]
{{- if .Values.features.gatewayAPI }}
- apiGroups: ["gateway.networking.k8s.io"]
  resources: ["httproutes"]
  verbs: ["get", "list", "watch", "patch"]
{{- end }}
{{- if and .Values.features.gatewayAPI .Values.features.ownRoutes }}
- apiGroups: ["gateway.networking.k8s.io"]
  resources: ["httproutes"]
  verbs: ["create", "delete"]
{{- end }}
{{- if .Values.features.gatewayAPI }}
- apiGroups: ["gateway.networking.k8s.io"]
  resources: ["grpcroutes"]
  verbs: ["get", "list", "watch", "patch"]
{{- end }}
{{- if and .Values.features.gatewayAPI .Values.features.ownRoutes }}
- apiGroups: ["gateway.networking.k8s.io"]
  resources: ["grpcroutes"]
  verbs: ["create", "delete"]
{{- end }}
{{- if .Values.features.gatewayAPI }}
- apiGroups: ["policy.linkerd.io"]
  resources: ["httproutes"]
  verbs: ["get", "list", "watch", "patch"]
{{- end }}
{{- if .Values.features.istio }}
- apiGroups: ["networking.istio.io"]
  resources: ["virtualservices"]
  verbs: ["get", "list", "watch", "patch"]
{{- end }}
{{- if and .Values.features.istio .Values.features.ownRoutes }}
- apiGroups: ["networking.istio.io"]
  resources: ["virtualservices"]
  verbs: ["create", "delete"]
{{- end }}
{{- if .Values.features.gatewayAPI }}
- apiGroups: ["linkerd.io"]
  resources: ["serviceprofiles"]
  verbs: ["list"]
{{- end }}
- apiGroups: ["events.k8s.io"]
  resources: ["events"]
  verbs: ["create"]
{{- end -}}
{{- define "leadsman.leaseRules" -}}
- apiGroups: ["coordination.k8s.io"]
  resources: ["leases"]
  verbs: ["get", "list", "watch", "create", "update"]
{{- end -}}
