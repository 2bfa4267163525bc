package document

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

type hiddenText string

func (h hiddenText) Reveal() string               { return string(h) }
func (h hiddenText) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

type vault struct {
	Plain string                `json:"plain,omitempty"`
	One   hiddenText            `json:"one,omitempty"`
	Ptr   *hiddenText           `json:"ptr"`
	List  []hiddenText          `json:"list"`
	Map   map[string]hiddenText `json:"map,omitempty"`
	Next  *vault                `json:"next,omitempty"`
	Any   any                   `json:"any"`
	Zero  inner                 `json:"zero,omitzero"`
	inside
}

type inside struct {
	In hiddenText `json:"in"`
}

type sealed struct{ In hiddenText }

func (sealed) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

func TestMarshalRevealed(t *testing.T) {
	v := vault{
		One: "a", Ptr: new(hiddenText("b")), List: []hiddenText{"c"}, Map: map[string]hiddenText{"z": "<d>", "y": ""},
		Next: &vault{One: "e"}, Any: hiddenText("f"), inside: inside{"g"},
	}
	const want = `{"one":"a","ptr":"b","list":["c"],"map":{"y":"","z":"\u003cd\u003e"},"next":{"one":"e","ptr":null,"list":null,"any":null,"in":""},"any":"f","in":"g"}`
	for _, in := range []any{v, &v} {
		got, err := MarshalRevealed(in)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
	}
	if _, err := MarshalRevealed(sealed{}); err == nil {
		t.Error("a sealed secret was not refused")
	}
	if got, err := MarshalRevealed(nil); err != nil || string(got) != "null" {
		t.Errorf("nil: %s, %v", got, err)
	}
}

// Without secrets it writes what encoding/json writes; so the walk itself is
// right about names, order and what is left out.
func TestMarshalRevealedLikeJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Make[struct {
			A int               `json:"a,omitempty"`
			B *string           `json:"b"`
			C map[string][]bool `json:",omitempty"`
			D *hiddenText       `json:"d,omitempty"`
			E []string          `json:"e,omitempty"`
			F [2]struct{ X *int }
			inner2
		}]().Draw(t, "v")
		v.D = nil // makes it walk, and writes nothing
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := MarshalRevealed(v)
		if err != nil || string(got) != string(want) {
			t.Fatalf("got  %s %v\nwant %s", got, err, want)
		}
	})
}

type inner2 struct {
	A string
	Y uint8 `json:"y,omitzero"`
}
