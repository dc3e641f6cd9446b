{{- /*
A definition as the chart has it, or, where the cluster has one of a newer schema, as that is: with an older one the API server
would drop the fields that it does not know.
*/ -}}
{{- define "leadsman.crd" -}}
{{- $ours := .root.Files.Get .file | fromYaml -}}
{{- $live := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $ours.metadata.name -}}
{{- $key := "leadsman.dev/schema-version" -}}
{{- $version := index $ours.metadata.annotations $key -}}
{{- $spec := $ours.spec -}}
{{- $there := dig "metadata" "annotations" $key "0" $live -}}
{{- if gt (int $there) (int $version) }}{{ $version = $there }}{{ $spec = $live.spec }}{{ end -}}
apiVersion: {{ $ours.apiVersion }}
kind: {{ $ours.kind }}
metadata:
  name: {{ $ours.metadata.name }}
  labels:
    app.kubernetes.io/part-of: leadsman
  annotations:
    {{ $key }}: {{ $version | quote }}
    {{- if .root.Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    {{- with .root.Values.crds.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- toYaml $spec | nindent 2 }}
{{- end -}}
