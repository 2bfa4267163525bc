package v3io

import (
	"net/http"
	"regexp"
	"strings"
)

// item answers with those attributes of a shard's object that are asked for.
func (s *Server) item(path string, body []byte) (any, *refusal) {
	h, _, no := s.at(path)
	if no != nil {
		return nil, no
	}
	var in struct{ AttributesToGet string }
	if no := input(body, &in); no != nil {
		return nil, no
	}
	if !h.is {
		return nil, absent
	}
	out := map[string]attribute{}
	for name := range strings.SplitSeq(in.AttributesToGet, ",") {
		if v, ok := h.attributes[strings.TrimSpace(name)]; ok {
			out[strings.TrimSpace(name)] = v
		}
	}
	return map[string]any{"Item": out}, nil
}

// change sets attributes if a condition is met.
func (s *Server) change(path string, body []byte) (any, *refusal) {
	h, _, no := s.at(path)
	if no != nil {
		return nil, no
	}
	var in struct {
		Item                            map[string]attribute
		UpdateMode, ConditionExpression string
	}
	if no := input(body, &in); no != nil {
		return nil, no
	}
	switch {
	case in.UpdateMode != "CreateOrReplaceAttributes":
		return nil, invalid("this server has no update mode %q", in.UpdateMode)
	case !h.is:
		return nil, invalid("an item would be made where a shard is to be")
	}
	met, no := h.meets(in.ConditionExpression)
	if no != nil {
		return nil, no
	}
	if !met {
		return nil, &refusal{http.StatusBadRequest, -9, "the condition is not met"}
	}
	for name, v := range in.Item {
		h.attributes[name] = v
	}
	return struct{}{}, nil
}

// The conditions that this server understands.
var (
	missing = regexp.MustCompile(`^not\(exists\((\w+)\)\)$`)
	equal   = regexp.MustCompile(`^(\w+) == (\d+)$`)
)

func (h *shard) meets(condition string) (bool, *refusal) {
	if m := missing.FindStringSubmatch(condition); m != nil {
		_, is := h.attributes[m[1]]
		return !is, nil
	}
	if m := equal.FindStringSubmatch(condition); m != nil {
		v, is := h.attributes[m[1]]
		return is && v["N"] == m[2], nil
	}
	if condition == "" {
		return true, nil
	}
	return false, invalid("this server does not understand the condition %q", condition)
}
