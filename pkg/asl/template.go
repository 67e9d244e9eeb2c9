package asl

import (
	"errors"
	"fmt"
	"strings"
)

// template is a payload template: Parameters, ItemSelector, ResultSelector. Members whose names end in .$ are computed.
type template struct {
	constant jsonValue // where nothing is computed
	members  []templateMember
	elements []template
}

type templateMember struct {
	name  string // without .$
	value template
	// computed stands instead of value.
	computed *expression
}

// parseTemplate reads a template; problem is told of what is wrong, with the place within the template.
func parseTemplate(v jsonValue, at string, problem func(at, message string)) template {
	switch v := v.(type) {
	case jsonObject:
		t := template{members: make([]templateMember, 0, len(v))}
		for _, name := range sortedKeys(v) {
			t.members = append(t.members, parseMember(v, name, at+"/"+escaped(name), problem))
		}
		return t
	case jsonArray:
		t := template{elements: make([]template, len(v))}
		for i, element := range v {
			t.elements[i] = parseTemplate(element, fmt.Sprintf("%s/%d", at, i), problem)
		}
		return t
	}
	return template{constant: v}
}

func parseMember(object jsonObject, name, at string, problem func(at, message string)) templateMember {
	bare, computed := strings.CutSuffix(name, ".$")
	if !computed {
		return templateMember{name: name, value: parseTemplate(object[name], at, problem)}
	}
	if _, twice := object[bare]; twice {
		problem(at, fmt.Sprintf("The field '%s' is there twice, once with .$", bare))
	}
	m := templateMember{name: bare}
	text, ok := object[name].(string)
	if !ok {
		problem(
			at,
			fmt.Sprintf(
				"The value for the field '%s' must be a valid JSONPath or a valid intrinsic function call", name,
			),
		)
		return m
	}
	var err error
	if m.computed, err = parseExpression(text); err != nil {
		problem(
			at,
			fmt.Sprintf(
				"The value for the field '%s' must be a valid JSONPath or a valid intrinsic function call: %v", name,
				err,
			),
		)
	}
	return m
}

// fill computes the template.
func (t *template) fill(s *scope) (jsonValue, *failure) {
	switch {
	case t.members != nil:
		object := make(jsonObject, len(t.members))
		for i := range t.members {
			m := &t.members[i]
			v, failed := m.fill(s)
			if failed != nil {
				return nil, failed
			}
			object[m.name] = v
		}
		return object, nil
	case t.elements != nil:
		list := make(jsonArray, len(t.elements))
		for i := range t.elements {
			v, failed := t.elements[i].fill(s)
			if failed != nil {
				return nil, failed
			}
			list[i] = v
		}
		return list, nil
	}
	return t.constant, nil
}

func (m *templateMember) fill(s *scope) (jsonValue, *failure) {
	if m.computed == nil {
		return m.value.fill(s)
	}
	v, err := m.computed.value(s)
	if err != nil {
		return nil, expressionFailure(err, m.name+".$", s)
	}
	return v, nil
}

// expressionFailure is what becomes of an expression's error in a field.
func expressionFailure(err error, field string, s *scope) *failure {
	var call *callError
	if errors.As(err, &call) {
		return namedFailure(ErrorIntrinsic, "%v", err)
	}
	return parameterFailure("%s", unresolved(err, field, s))
}

// unresolved words it as Step Functions does.
func unresolved(err error, field string, s *scope) string {
	var at *pathError
	if errors.As(err, &at) && errors.Is(err, errAbsent) {
		root, place := s.input, "input"
		if at.path.context {
			root, place = s.context, "context object"
		}
		return fmt.Sprintf(
			"The JSONPath '%s' specified for the field '%s' could not be found in the %s '%s'", at.path, field, place,
			shortened(string(encodeValue(root))),
		)
	}
	return fmt.Sprintf("The value of the field '%s' cannot be computed: %v", field, err)
}

// escaped is a name within a JSON pointer.
func escaped(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
