package deploy

import (
	"encoding/json"
	"fmt"

	"github.com/myelin-run/myelin/document"
)

// Values are what may be said about an installation; values.yaml has what each is if
// nothing is said, and what it is for.
type Values struct {
	Image               Image             `json:"image"`
	ImagePullSecrets    []any             `json:"imagePullSecrets"`
	Functions           Functions         `json:"functions"`
	Registry            Registry          `json:"registry"`
	API                 API               `json:"api"`
	Gateway             Gateway           `json:"gateway"`
	Storage             Storage           `json:"storage"`
	Keys                Secret            `json:"keys"`
	Ingress             Ingress           `json:"ingress"`
	HTTPRoute           HTTPRoute         `json:"httpRoute"`
	ServiceAccount      ServiceAccount    `json:"serviceAccount"`
	RBAC                Create            `json:"rbac"`
	NetworkPolicy       Enabled           `json:"networkPolicy"`
	PodDisruptionBudget Enabled           `json:"podDisruptionBudget"`
	Resources           map[string]any    `json:"resources"`
	Temporary           string            `json:"temporary"`
	NodeSelector        map[string]string `json:"nodeSelector"`
	Tolerations         []any             `json:"tolerations"`
	Affinity            map[string]any    `json:"affinity"`
	PriorityClassName   string            `json:"priorityClassName"`
	PodAnnotations      map[string]string `json:"podAnnotations"`
	PodLabels           map[string]string `json:"podLabels"`
	ExtraArgs           []string          `json:"extraArgs"`
	ExtraEnv            []any             `json:"extraEnv"`
	ExtraVolumes        []any             `json:"extraVolumes"`
	ExtraVolumeMounts   []any             `json:"extraVolumeMounts"`
	Global              map[string]any    `json:"global,omitempty"` // Helm's own
}

// Image is that of Myelin itself.
type Image struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	PullPolicy string `json:"pullPolicy"`
}

// Functions are where they run, and on what.
type Functions struct {
	Namespace string            `json:"namespace"`
	Bases     map[string]string `json:"bases"`
	From      []any             `json:"from"`
}

// Registry is where images of functions are.
type Registry struct {
	Repository        string `json:"repository"`
	ExistingSecret    string `json:"existingSecret"`
	ExistingConfigMap string `json:"existingConfigMap"`
}

// API is how the control plane is reached.
type API struct {
	ExistingSecret string  `json:"existingSecret"`
	TLS            Secret  `json:"tls"`
	Service        Service `json:"service"`
	From           []any   `json:"from"`
}

// Gateway is how functions are reached.
type Gateway struct {
	URL     string  `json:"url"`
	TLS     Secret  `json:"tls"`
	Service Service `json:"service"`
	From    []any   `json:"from"`
}

// Secret names one that is there.
type Secret struct {
	ExistingSecret string `json:"existingSecret"`
}

// Service is how one is made.
type Service struct {
	Type        string            `json:"type"`
	Port        int               `json:"port"`
	Annotations map[string]string `json:"annotations"`
}

// Storage is the volume of the control plane.
type Storage struct {
	ExistingClaim string `json:"existingClaim"`
	ClassName     string `json:"className"`
	Size          string `json:"size"`
	Ephemeral     bool   `json:"ephemeral"`
}

// Ingress says whether there is one.
type Ingress struct {
	Enabled     bool              `json:"enabled"`
	ClassName   string            `json:"className"`
	Annotations map[string]string `json:"annotations"`
	Gateway     Host              `json:"gateway"`
	API         Host              `json:"api"`
}

// Host is one of an Ingress.
type Host struct {
	Host      string `json:"host"`
	TLSSecret string `json:"tlsSecret"`
}

// HTTPRoute says whether there are some.
type HTTPRoute struct {
	Enabled    bool      `json:"enabled"`
	ParentRefs []any     `json:"parentRefs"`
	Gateway    Hostnames `json:"gateway"`
	API        Hostnames `json:"api"`
}

// Hostnames are those of a route.
type Hostnames struct {
	Hostnames []string `json:"hostnames"`
}

// ServiceAccount is the control plane's.
type ServiceAccount struct {
	Create      bool              `json:"create"`
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations"`
}

// Create says whether something is made.
type Create struct {
	Create bool `json:"create"`
}

// Enabled says whether something is there.
type Enabled struct {
	Enabled bool `json:"enabled"`
}

// Defaults are what is if nothing is said.
func Defaults() (v Values, err error) { return v, read("values.yaml", &v) }

// Over lays a file of values, in YAML or JSON, over v, as Helm does: what it does not
// say stays, also within fields, null is nothing, and lists are taken whole. Mistakes are
// [document.Errors].
func (v Values) Over(name string, body []byte) (Values, error) {
	doc, err := document.Parse(name, body)
	if err != nil {
		return v, err
	}
	var check Values
	if err := doc.Decode(&check); err != nil {
		return v, err
	}
	var said map[string]any
	if err := json.Unmarshal(doc.JSON(), &said); err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	had, err := plain(v)
	if err != nil {
		return v, err
	}
	raw, err := json.Marshal(merged(had, said))
	if err != nil {
		return v, err
	}
	var out Values
	return out, document.DecodeJSON(raw, &out)
}

// Set sets one value, by its path as in values.yaml.
func (v *Values) Set(path, value string) error { return document.Set(v, path, value) }

func merged(had, said map[string]any) map[string]any {
	for name, value := range said {
		deeper, isMap := value.(map[string]any)
		below, wasMap := had[name].(map[string]any)
		switch {
		case value == nil:
			delete(had, name)
		case isMap && wasMap:
			had[name] = merged(below, deeper)
		default:
			had[name] = value
		}
	}
	return had
}
