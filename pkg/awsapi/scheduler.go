package awsapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// The operations of EventBridge Scheduler have methods, and members that stand in the path and in the query.

// Where its operations on schedules are, and on groups of schedules, of which none is registered.
const (
	schedulesPath      = "/schedules"
	scheduleGroupsPath = "/schedule-groups"
)

func isScheduler(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return "/"+first == schedulesPath || "/"+first == scheduleGroupsPath
}

// route is an operation with what a request for it says outside of its body.
type route struct {
	*operation
	// inPath is the member whose value is the path's last part, "" if there is none.
	inPath string
	// inQuery are the members that stand in the query, by the name that they have there.
	inQuery map[string]string
}

// HandleScheduler registers an operation of EventBridge Scheduler at a path such as /schedules/{Name}. query maps names
// in the query to members of the request. Otherwise as HandleTarget; metrics have it as scheduler:name.
func HandleScheduler[Req, Resp any](
	r *Router, method, path, name string, query map[string]string, h func(context.Context, *Req) (*Resp, error),
	opts ...Option,
) {
	before, variable, _ := strings.Cut(path, "{")
	r.routes[routeKey(method, before)] = route{
		operation: newOperation(
			r, schedulerJSON, "scheduler:"+name, h, opts,
		), inPath: strings.TrimSuffix(variable, "}"), inQuery: query,
	}
}

// routeKey leaves out of a path what stands behind its first part.
func routeKey(method, path string) string {
	if first, rest, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/"); ok && !strings.Contains(rest, "/") {
		return method + " /" + first + "/"
	}
	return method + " " + path
}

// members adds to a body what the path and the query say.
func (r route) members(req *http.Request, body []byte, request reflect.Type) ([]byte, *Error) {
	all := map[string]json.RawMessage{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &all); err != nil {
			return nil, undecodable(err)
		}
	}
	add := func(member, value string) {
		// What is no number is refused like a string in its place.
		encoded, _ := json.Marshal(value) // strings always encode
		if field, ok := request.FieldByName(member); ok && field.Type == reflect.TypeFor[*int64]() &&
			json.Valid([]byte(value)) {
			encoded = []byte(value)
		}
		all[member] = encoded
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, newError(CodeValidation, "The query is not well formed.", nil)
	}
	for name, member := range r.inQuery {
		if query.Has(name) {
			add(member, query.Get(name))
		}
	}
	if r.inPath != "" {
		add(r.inPath, strings.TrimPrefix(req.URL.Path, schedulesPath+"/"))
	}
	merged, err := json.Marshal(all)
	if err != nil {
		return nil, newError(CodeSerialization, "The body is not the expected JSON.", nil)
	}
	return merged, nil
}
