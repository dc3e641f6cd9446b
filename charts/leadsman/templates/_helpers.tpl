{{- define "leadsman.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "leadsman.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "leadsman.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "leadsman.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* What belongs to the cluster has the namespace in its name, so that two releases of one name do not meet. */ -}}
{{- define "leadsman.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "leadsman.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "leadsman.account" -}}
{{- default (include "leadsman.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "leadsman.selector" -}}
app.kubernetes.io/name: {{ include "leadsman.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "leadsman.labels" -}}
{{ include "leadsman.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: leadsman
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The labels and others, of which a name may be among them. What selects pods stays as it is. */ -}}
{{- define "leadsman.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $selector := include "leadsman.selector" $root | fromYaml -}}
{{- mergeOverwrite (include "leadsman.labels" $root | fromYaml) (index . 1) $selector | toYaml -}}
{{- end -}}

{{- define "leadsman.image" -}}
{{- $name := printf "%s/%s" .Values.image.registry .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $name }}@{{ .Values.image.digest }}
{{- else -}}
{{ $name }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* Not empty where Secrets are read. An empty list of names would allow all of them. */ -}}
{{- define "leadsman.readsSecrets" -}}
{{- $secrets := .Values.features.secrets -}}
{{- if or (eq $secrets.mode "Namespace") (and (eq $secrets.mode "Named") $secrets.names) -}}
yes
{{- end -}}
{{- end -}}

{{- /* Not empty where the API server puts down who gives a command. */ -}}
{{- define "leadsman.recordsActor" -}}
{{- $enabled := .Values.policies.recordActor.enabled | toString -}}
{{- $can := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
{{- if or (eq $enabled "true") (and (eq $enabled "auto") $can (not .Values.watchNamespaces)) -}}
yes
{{- end -}}
{{- end -}}

{{- /* Kinds that the operator has no right to. */ -}}
{{- define "leadsman.without" -}}
{{- $without := list -}}
{{- if not .Values.features.gatewayAPI }}{{ $without = append $without "gateway-api" }}{{ end -}}
{{- if not .Values.features.istio }}{{ $without = append $without "istio" }}{{ end -}}
{{- if .Values.watchNamespaces }}{{ $without = append $without "cluster-templates" }}{{ end -}}
{{- join "," $without -}}
{{- end -}}
