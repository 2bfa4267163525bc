{{- define "myelin.selector" -}}
app.kubernetes.io/name: myelin
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "myelin.labels" -}}
{{ include "myelin.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: myelin
{{- end }}

{{- define "myelin.account" -}}
{{ default .Release.Name .Values.serviceAccount.name }}
{{- end }}

{{- define "myelin.functions" -}}
{{ default .Release.Namespace .Values.functions.namespace }}
{{- end }}

{{- define "myelin.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "myelin.gateway" -}}
{{- if .Values.gateway.url -}}
{{ .Values.gateway.url }}
{{- else -}}
{{ ternary "https" "http" (ne .Values.gateway.tls.existingSecret "") }}://{{ .Release.Name }}-gateway{{ if .Values.functions.namespace }}.{{ .Release.Namespace }}{{ end }}:{{ .Values.gateway.service.port }}
{{- end -}}
{{- end }}
