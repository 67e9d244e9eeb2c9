package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxDefinition is the longest definition, in bytes.
	maxDefinition = 1 << 20
	// maxStateName is the longest name of a state, in characters.
	maxStateName = 80
	// maxSeconds is the longest time that a definition may name, and a task's without TimeoutSeconds.
	maxSeconds = 99999999
	// maxNesting bounds states within states, and rules within rules.
	maxNesting = 32
)

// Diagnostic is one thing that is wrong with a definition, as ValidateStateMachineDefinition reports it.
type Diagnostic struct {
	// Severity is ERROR or WARNING.
	Severity string
	Code     string
	Message  string
	// Location is a JSON pointer, "" for the whole definition.
	Location string
}

// What is wrong, in Step Functions' words.
const (
	SeverityError   = "ERROR"
	SeverityWarning = "WARNING"

	CodeInvalidJSON       = "INVALID_JSON_DESCRIPTION"
	CodeSchema            = "SCHEMA_VALIDATION_FAILED"
	CodeMissingTransition = "MISSING_TRANSITION_TARGET"
	CodeDuplicateName     = "DUPLICATE_STATE_NAME"
)

func (d Diagnostic) String() string {
	if d.Location == "" {
		return d.Code + ": " + d.Message
	}
	return d.Code + ": " + d.Message + " at " + d.Location
}

// Diagnostics are all that is wrong with a definition, in its order.
type Diagnostics []Diagnostic

// Err is an error that lists all errors, nil if there are only warnings.
func (d Diagnostics) Err() error {
	var messages []string
	for _, one := range d {
		if one.Severity == SeverityError {
			messages = append(messages, one.String())
		}
	}
	if len(messages) == 0 {
		return nil
	}
	return errors.New(strings.Join(messages, ", "))
}

// Parse reads a definition. Unless the diagnostics are free of errors, there is no machine. check says whether a Task's
// resource can be run here; nil takes any.
func Parse(definition string, check func(Resource) error) (*Machine, Diagnostics) {
	p := &parser{check: check, names: map[string]bool{}}
	m := p.machine(definition)
	if p.found.Err() != nil {
		return nil, p.found
	}
	return m, p.found
}

type parser struct {
	check func(Resource) error
	found Diagnostics
	names map[string]bool // of states, in the whole definition
	depth int
}

func (p *parser) report(code, at, format string, args ...any) {
	p.found = append(
		p.found, Diagnostic{Severity: SeverityError, Code: code, Message: fmt.Sprintf(format, args...), Location: at},
	)
}

func (p *parser) schema(at, format string, args ...any) { p.report(CodeSchema, at, format, args...) }

func (p *parser) machine(definition string) *Machine {
	if len(definition) > maxDefinition {
		p.report(CodeInvalidJSON, "", "The definition is longer than %d bytes", maxDefinition)
		return nil
	}
	v, err := decodeValue([]byte(definition))
	if err != nil {
		p.report(CodeInvalidJSON, "", "%v", err)
		return nil
	}
	if name, at, twice := duplicate(definition); twice {
		p.report(CodeInvalidJSON, at, "The field '%s' is there twice", name)
		return nil
	}
	members, ok := v.(jsonObject)
	if !ok {
		p.report(CodeInvalidJSON, "", "The definition must be an object, not %s", typeName(v))
		return nil
	}
	o := p.object(members, "")
	m := &Machine{}
	m.comment, _ = o.text("Comment")
	if version, ok := o.text("Version"); ok && version != "1.0" {
		p.schema("/Version", "The value must be 1.0")
	}
	o.queryLanguage()
	if a := o.amountWithin("TimeoutSeconds", "", 1, maxSeconds); a.set {
		m.timeout = int64(a.fixed)
	}
	if f := p.flow(o); f != nil {
		m.flow = *f
	}
	o.finish()
	return m
}

// duplicate finds a member that an object has twice.
func duplicate(definition string) (name, at string, twice bool) {
	decoder := json.NewDecoder(strings.NewReader(definition))
	decoder.UseNumber()
	var walk func(at string) bool
	walk = func(place string) bool {
		token, err := decoder.Token()
		if err != nil {
			return false // read before: it ends nowhere else than at its end
		}
		switch token {
		case json.Delim('{'):
			seen := map[string]bool{}
			for decoder.More() {
				key, _ := decoder.Token()
				member, _ := key.(string)
				if seen[member] {
					name, at = member, place
					return true
				}
				seen[member] = true
				if walk(place + "/" + escaped(member)) {
					return true
				}
			}
			_, _ = decoder.Token()
		case json.Delim('['):
			for i := 0; decoder.More(); i++ {
				if walk(fmt.Sprintf("%s/%d", place, i)) {
					return true
				}
			}
			_, _ = decoder.Token()
		}
		return false
	}
	twice = walk("")
	return name, at, twice
}

// object is an object of the definition whose members are read by name; what nobody read is unknown.
type object struct {
	*parser
	at      string
	members jsonObject
	read    map[string]bool
}

func (p *parser) object(members jsonObject, at string) *object {
	return &object{parser: p, at: at, members: members, read: map[string]bool{}}
}

func (o *object) place(name string) string { return o.at + "/" + escaped(name) }

func (o *object) get(name string) (jsonValue, bool) {
	o.read[name] = true
	v, ok := o.members[name]
	return v, ok
}

func (o *object) has(name string) bool {
	_, ok := o.members[name]
	return ok
}

func (o *object) text(name string) (string, bool) {
	v, ok := o.get(name)
	if !ok {
		return "", false
	}
	s, isText := v.(string)
	if !isText {
		o.schema(o.place(name), "The value must be a string, not %s", typeName(v))
	}
	return s, isText
}

func (o *object) required(name string) (string, bool) {
	if !o.has(name) {
		o.read[name] = true
		o.schema(o.place(name), "The field '%s' is required but was missing", name)
		return "", false
	}
	return o.text(name)
}

func (o *object) flag(name string) bool {
	v, ok := o.get(name)
	if !ok {
		return false
	}
	b, isFlag := v.(bool)
	if !isFlag {
		o.schema(o.place(name), "The value must be a boolean, not %s", typeName(v))
	}
	return b
}

func (o *object) list(name string) (jsonArray, bool) {
	v, ok := o.get(name)
	if !ok {
		return nil, false
	}
	list, isList := v.(jsonArray)
	if !isList {
		o.schema(o.place(name), "The value must be an array, not %s", typeName(v))
	}
	return list, isList
}

func (o *object) child(name string) (*object, bool) {
	v, ok := o.get(name)
	if !ok {
		return nil, false
	}
	members, isObject := v.(jsonObject)
	if !isObject {
		o.schema(o.place(name), "The value must be an object, not %s", typeName(v))
		return nil, false
	}
	return o.object(members, o.place(name)), true
}

func (o *object) objects(name string) []*object {
	list, _ := o.list(name)
	var objects []*object
	for i, v := range list {
		at := fmt.Sprintf("%s/%d", o.place(name), i)
		if members, ok := v.(jsonObject); ok {
			objects = append(objects, o.object(members, at))
		} else {
			o.schema(at, "The value must be an object, not %s", typeName(v))
		}
	}
	return objects
}

// atLeastOne is objects for a field that is required, and must hold some.
func (o *object) atLeastOne(field, what string) []*object {
	if !o.has(field) {
		o.schema(o.place(field), "The field '%s' is required but was missing", field)
	}
	if list, ok := o.list(field); ok && len(list) == 0 {
		o.schema(o.place(field), "There must be at least one %s", what)
	}
	return o.objects(field)
}

// amountWithin reads a whole number, or the path in pathName ("": there is none).
func (o *object) amountWithin(name, pathName string, least, most float64) amount {
	a := o.numberWithin(name, pathName, least, most)
	if a.set && a.path == nil && a.fixed != float64(int64(a.fixed)) {
		o.schema(o.place(name), "The value must be a whole number")
	}
	return a
}

func (o *object) numberWithin(name, pathName string, least, most float64) amount {
	var a amount
	if v, ok := o.get(name); ok {
		n, isNumber := v.(json.Number)
		f, _ := n.Float64()
		switch {
		case !isNumber:
			o.schema(o.place(name), "The value must be a number, not %s", typeName(v))
		case f < least || f > most:
			o.schema(
				o.place(name), "The value must be from %v to %v", json.Number(fmt.Sprintf("%.0f", least)),
				json.Number(fmt.Sprintf("%.0f", most)),
			)
		default:
			a.set, a.fixed = true, f
		}
	}
	if pathName == "" || !o.has(pathName) {
		return a
	}
	if o.has(name) {
		o.schema(o.place(pathName), "Only one of '%s' and '%s' may be there", name, pathName)
	}
	if path := o.path(pathName); path != nil {
		a.set, a.path, a.field = true, path, pathName
	}
	return a
}

// path reads a path that must be there.
func (o *object) path(name string) *Path {
	s, ok := o.text(name)
	if !ok {
		return nil
	}
	path, err := ParsePath(s)
	if err != nil {
		o.schema(o.place(name), "The value for the field '%s' must be a valid JSONPath: %v", name, err)
		return nil
	}
	return path
}

// dataPath reads a path that may be null, or absent.
func (o *object) dataPath(name string) dataPath {
	v, ok := o.members[name]
	if !ok {
		return dataPath{}
	}
	if v == nil {
		o.read[name] = true
		return dataPath{null: true}
	}
	return dataPath{path: o.path(name)}
}

// resultPath is a dataPath into which a value can be put.
func (o *object) resultPath() dataPath {
	d := o.dataPath("ResultPath")
	if d.path == nil {
		return d
	}
	if d.path.context || !d.path.reference() {
		o.schema(
			o.place("ResultPath"),
			"The value for the field 'ResultPath' must be a valid reference path: names and indices behind $",
		)
	}
	return d
}

func (o *object) template(name string) *template {
	v, ok := o.get(name)
	if !ok {
		return nil
	}
	t := parseTemplate(v, o.place(name), func(at, message string) { o.schema(at, "%s", message) })
	return &t
}

func (o *object) queryLanguage() {
	switch language, ok := o.text("QueryLanguage"); {
	case !ok, language == "JSONPath":
	case language == "JSONata":
		o.schema(o.place("QueryLanguage"), "JSONata is not supported: use JSONPath")
	default:
		o.schema(o.place("QueryLanguage"), "The value must be JSONPath")
	}
}

// ofJSONata are members that only JSONata states have, and variables.
var ofJSONata = map[string]string{
	"Arguments": "JSONata is not supported: use 'Parameters'",
	"Output":    "JSONata is not supported: use 'ResultSelector', 'ResultPath' and 'OutputPath'",
	"Items":     "JSONata is not supported: use 'ItemsPath'",
	"Condition": "JSONata is not supported: use 'Variable' and a comparison",
	"Assign":    "Variables ('Assign') are not supported: pass data on by 'ResultPath'",
}

// finish reports the members that nobody has read.
func (o *object) finish() {
	for _, name := range sortedKeys(o.members) {
		if o.read[name] {
			continue
		}
		if why, ok := ofJSONata[name]; ok {
			o.schema(o.place(name), "%s", why)
			continue
		}
		o.schema(o.place(name), "Field '%s' is not supported", name)
	}
}

func (p *parser) flow(o *object) *flow {
	if p.depth++; p.depth > maxNesting {
		p.schema(o.at, "States are nested deeper than %d", maxNesting)
		return nil
	}
	defer func() { p.depth-- }()
	f := &flow{states: map[string]*state{}}
	f.startAt, _ = o.required("StartAt")
	if !o.has("States") {
		p.schema(o.place("States"), "The field 'States' is required but was missing")
		o.read["States"] = true
		return nil
	}
	states, ok := o.child("States")
	if !ok {
		return nil
	}
	if len(states.members) == 0 {
		p.schema(states.at, "There must be at least one state")
	}
	for _, name := range sortedKeys(states.members) {
		at := states.place(name)
		if n := utf8.RuneCountInString(name); n == 0 || n > maxStateName {
			p.schema(at, "The name of a state must have 1 to %d characters", maxStateName)
		}
		if p.names[name] {
			p.report(CodeDuplicateName, at, "There are two states named '%s'", name)
		}
		p.names[name] = true
		if child, ok := states.child(name); ok {
			f.states[name] = p.state(name, child)
		}
	}
	if len(f.states) > 0 && len(f.states) == len(states.members) {
		p.transitions(f, o.at)
	}
	return f
}

// transitions checks where states lead to, and that each can be reached.
func (p *parser) transitions(f *flow, at string) {
	reached := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		s := f.states[name]
		if s == nil || reached[name] {
			return
		}
		reached[name] = true
		for _, next := range s.leadsTo() {
			visit(next.name)
		}
	}
	if f.startAt != "" && f.states[f.startAt] == nil {
		p.report(CodeMissingTransition, at+"/StartAt", "Missing 'StartAt' target: %s", f.startAt)
	}
	visit(f.startAt)
	for _, name := range sortedKeys(f.states) {
		place := at + "/States/" + escaped(name)
		for _, next := range f.states[name].leadsTo() {
			if next.name != "" && f.states[next.name] == nil {
				p.report(CodeMissingTransition, place+next.at, "Missing '%s' target: %s", next.field, next.name)
			}
		}
		if f.states[f.startAt] != nil && !reached[name] {
			p.report(CodeMissingTransition, place, "State '%s' is not reachable", name)
		}
	}
}

// transition is where a state may lead to, and the member that says so.
type transition struct{ name, field, at string }

func (s *state) leadsTo() []transition {
	var list []transition
	if s.next != "" {
		list = append(list, transition{s.next, "Next", "/Next"})
	}
	for i := range s.choices {
		list = append(list, transition{s.choices[i].next, "Next", fmt.Sprintf("/Choices/%d/Next", i)})
	}
	if s.otherwise != "" {
		list = append(list, transition{s.otherwise, "Default", "/Default"})
	}
	for i := range s.catchers {
		list = append(list, transition{s.catchers[i].next, "Next", fmt.Sprintf("/Catch/%d/Next", i)})
	}
	return list
}

func (p *parser) state(name string, o *object) *state {
	s := &state{name: name}
	_, _ = o.text("Comment")
	o.queryLanguage()
	kind, ok := o.required("Type")
	if !ok {
		return s
	}
	s.kind = kind
	if kind != typeFail {
		s.inputPath, s.outputPath = o.dataPath("InputPath"), o.dataPath("OutputPath")
	}
	switch kind {
	case typeTask:
		p.task(s, o)
	case typePass:
		s.parameters = o.template("Parameters")
		s.result, s.hasResult = o.get("Result")
		s.resultPath = o.resultPath()
		o.transition(s)
	case typeChoice:
		p.choiceState(s, o)
	case typeWait:
		p.waitState(s, o)
		o.transition(s)
	case typeSucceed:
	case typeFail:
		s.failError, s.failCause = o.expressionOr("Error", "ErrorPath"), o.expressionOr("Cause", "CausePath")
	case typeParallel:
		p.parallel(s, o)
	case typeMap:
		p.mapState(s, o)
	default:
		o.schema(
			o.place("Type"), "The value must be Task, Pass, Choice, Wait, Succeed, Fail, Parallel or Map, not '%s'",
			shortened(kind),
		)
		return s
	}
	o.finish()
	return s
}

// transition reads Next and End, of which a state has one.
func (o *object) transition(s *state) {
	s.next, _ = o.text("Next")
	s.end = o.flag("End")
	switch {
	case o.has("Next") && o.has("End"):
		o.schema(o.at, "Only one of 'Next' and 'End' may be there")
	case !o.has("Next") && !s.end:
		o.schema(o.at, "One of 'Next' and 'End' (which must be true) is required but was missing")
	}
}

// working reads what Task, Parallel and Map share.
func (o *object) working(s *state) {
	s.resultSelector = o.template("ResultSelector")
	s.resultPath = o.resultPath()
	s.retriers, s.catchers = o.retriers(), o.catchers()
	o.transition(s)
}

func (p *parser) task(s *state, o *object) {
	if arn, ok := o.required("Resource"); ok {
		var err error
		s.resource, err = parseResource(arn)
		if err == nil && p.check != nil {
			err = p.check(s.resource)
		}
		if err != nil {
			p.schema(o.place("Resource"), "The resource cannot be run: %v", err)
		}
	}
	s.parameters = o.template("Parameters")
	_, _ = o.get("Credentials") // a role to take on: there are none here
	s.timeout = o.amountWithin("TimeoutSeconds", "TimeoutSecondsPath", 1, maxSeconds)
	s.heartbeat = o.amountWithin("HeartbeatSeconds", "HeartbeatSecondsPath", 1, maxSeconds)
	if s.heartbeat.set && s.heartbeat.path == nil && s.timeout.path == nil {
		limit := s.timeout.fixed
		if !s.timeout.set {
			limit = maxSeconds
		}
		if s.heartbeat.fixed >= limit {
			p.schema(o.place("HeartbeatSeconds"), "The value must be less than 'TimeoutSeconds'")
		}
	}
	if s.resource.WaitsForToken && s.parameters != nil && !readsToken(s.parameters) {
		p.found = append(p.found, Diagnostic{
			Severity: SeverityWarning, Code: "NO_TASK_TOKEN", Location: o.place("Parameters"),
			Message: "The task waits for its token, which 'Parameters' pass on to nobody ($$.Task.Token)",
		})
	}
	o.working(s)
}

// readsToken says whether a template passes the task's token, or the whole context object, on.
func readsToken(t *template) bool {
	var inExpression func(e *expression) bool
	inExpression = func(e *expression) bool {
		if e.path != nil && e.path.context {
			return len(e.path.steps) < 2 || slices.Equal(e.path.steps[1].names, []string{"Token"})
		}
		return e.call != nil &&
			slices.ContainsFunc(e.call.arguments, func(a expression) bool { return inExpression(&a) })
	}
	return slices.ContainsFunc(t.elements, func(e template) bool { return readsToken(&e) }) ||
		slices.ContainsFunc(t.members, func(m templateMember) bool {
			if m.computed != nil {
				return inExpression(m.computed)
			}
			return readsToken(&m.value)
		})
}

func (p *parser) waitState(s *state, o *object) {
	s.wait.seconds = o.amountWithin("Seconds", "SecondsPath", 0, maxSeconds)
	if timestamp, ok := o.text("Timestamp"); ok {
		if _, err := parseTimestamp(timestamp); err != nil {
			o.schema(
				o.place("Timestamp"),
				"The value must be a timestamp with date, time and zone, as 2016-03-14T01:59:00Z",
			)
		}
		s.wait.timestamp = timestamp
	}
	if o.has("TimestampPath") {
		s.wait.path = o.path("TimestampPath")
	}
	given := 0
	for _, name := range []string{"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} {
		if o.has(name) {
			given++
		}
	}
	if given != 1 {
		o.schema(
			o.at, "A Wait state must have exactly one of 'Seconds', 'SecondsPath', 'Timestamp' and 'TimestampPath'",
		)
	}
}

// expressionOr reads a string, or the expression in pathName.
func (o *object) expressionOr(name, pathName string) text {
	var t text
	t.fixed, t.set = o.text(name)
	if !o.has(pathName) {
		return t
	}
	if o.has(name) {
		o.schema(o.place(pathName), "Only one of '%s' and '%s' may be there", name, pathName)
	}
	if written, ok := o.text(pathName); ok {
		var err error
		if t.computed, err = parseExpression(written); err != nil {
			o.schema(
				o.place(pathName),
				"The value for the field '%s' must be a valid JSONPath or a valid intrinsic function call: %v",
				pathName, err,
			)
			return t
		}
		t.set, t.field = true, pathName
	}
	return t
}

func (p *parser) parallel(s *state, o *object) {
	s.parameters = o.template("Parameters")
	for _, branch := range o.atLeastOne("Branches", "branch") {
		_, _ = branch.text("Comment")
		if f := p.flow(branch); f != nil {
			s.branches = append(s.branches, f)
		}
		branch.finish()
	}
	o.working(s)
}

func (p *parser) mapState(s *state, o *object) {
	s.itemsPath = o.dataPath("ItemsPath")
	s.concurrency = o.amountWithin("MaxConcurrency", "MaxConcurrencyPath", 0, maxSeconds)
	s.toleratedCount = o.amountWithin("ToleratedFailureCount", "ToleratedFailureCountPath", 0, maxSeconds)
	s.toleratedPercentage = o.numberWithin("ToleratedFailurePercentage", "ToleratedFailurePercentagePath", 0, 100)
	s.parameters = o.template("ItemSelector")
	if o.has("Parameters") {
		if o.has("ItemSelector") {
			o.schema(o.place("Parameters"), "Only one of 'ItemSelector' and 'Parameters' may be there")
		}
		s.parameters = o.template("Parameters")
	}
	for _, name := range []string{"ItemReader", "ItemBatcher", "ResultWriter", "Label"} {
		if _, ok := o.get(name); ok {
			o.schema(o.place(name), "The field '%s' belongs to distributed Map states, which are not supported", name)
		}
	}
	processor := "ItemProcessor"
	switch {
	case o.has("Iterator") && o.has("ItemProcessor"):
		o.schema(o.place("Iterator"), "Only one of 'ItemProcessor' and 'Iterator' may be there")
	case o.has("Iterator"):
		processor = "Iterator" // its name before
	case !o.has(processor):
		o.schema(o.place(processor), "The field 'ItemProcessor' is required but was missing")
	}
	_, _ = o.get("Iterator")
	if child, ok := o.child(processor); ok {
		_, _ = child.text("Comment")
		if config, ok := child.child("ProcessorConfig"); ok {
			if mode, ok := config.text("Mode"); ok && mode != "INLINE" {
				config.schema(
					config.place("Mode"), "Distributed Map states are not supported: the value must be INLINE",
				)
			}
			_, _ = config.text("ExecutionType")
			config.finish()
		}
		s.processor = p.flow(child)
		child.finish()
	}
	o.working(s)
}

func (o *object) retriers() []retrier {
	var list []retrier
	objects := o.objects("Retry")
	for i, r := range objects {
		_, _ = r.text("Comment")
		one := retrier{errors: r.errorNames(i == len(objects)-1), interval: 1, maxAttempts: 3, backOff: 2}
		if a := r.amountWithin("IntervalSeconds", "", 1, maxSeconds); a.set {
			one.interval = int64(a.fixed)
		}
		if a := r.amountWithin("MaxAttempts", "", 0, maxSeconds); a.set {
			one.maxAttempts = int64(a.fixed)
		}
		if a := r.numberWithin("BackoffRate", "", 1, maxSeconds); a.set {
			one.backOff = a.fixed
		}
		if a := r.amountWithin("MaxDelaySeconds", "", 1, 31622400); a.set {
			one.maxDelay = int64(a.fixed)
			if one.maxDelay <= one.interval {
				r.schema(r.place("MaxDelaySeconds"), "The value must be greater than 'IntervalSeconds'")
			}
		}
		switch jitter, ok := r.text("JitterStrategy"); {
		case !ok, jitter == "NONE":
		case jitter == "FULL":
			one.fullJitter = true
		default:
			r.schema(r.place("JitterStrategy"), "The value must be FULL or NONE")
		}
		r.finish()
		list = append(list, one)
	}
	return list
}

func (o *object) catchers() []catcher {
	var list []catcher
	objects := o.objects("Catch")
	for i, c := range objects {
		_, _ = c.text("Comment")
		one := catcher{errors: c.errorNames(i == len(objects)-1), resultPath: c.resultPath()}
		one.next, _ = c.required("Next")
		c.finish()
		list = append(list, one)
	}
	return list
}

// errorNames reads ErrorEquals.
func (o *object) errorNames(last bool) []string {
	if !o.has("ErrorEquals") {
		o.schema(o.place("ErrorEquals"), "The field 'ErrorEquals' is required but was missing")
	}
	list, ok := o.list("ErrorEquals")
	if ok && len(list) == 0 {
		o.schema(o.place("ErrorEquals"), "There must be at least one error name")
	}
	var names []string
	for i, v := range list {
		at := fmt.Sprintf("%s/%d", o.place("ErrorEquals"), i)
		name, isText := v.(string)
		switch {
		case !isText:
			o.schema(at, "The value must be a string, not %s", typeName(v))
		case name == ErrorAll && len(list) > 1:
			o.schema(at, "States.ALL must stand alone")
		case name == ErrorAll && !last:
			o.schema(at, "States.ALL must stand in the last one")
		case strings.HasPrefix(name, "States.") && !strings.HasPrefix(name, "States.Http.") && !slices.Contains(reservedErrors, name):
			o.schema(at, "'%s' is no error name: names that begin with 'States.' are reserved", shortened(name))
		}
		names = append(names, name)
	}
	return names
}

// reservedErrors are the names that may be caught; those of HTTP calls (States.Http.StatusCode.404) are not listed.
var reservedErrors = []string{
	ErrorAll, ErrorTimeout, ErrorHeartbeatTimeout, ErrorTaskFailed, ErrorPermissions, ErrorRuntime, ErrorDataLimit, ErrorParameterPath,
	ErrorResultPath, ErrorBranchFailed, ErrorNoChoiceMatched, ErrorIntrinsic, ErrorThreshold, "States.ItemReaderFailed",
	"States.ResultWriterFailed", "States.QueryEvaluationError",
}

// Comment is the definition's.
func (m *Machine) Comment() string { return m.comment }

var timestampPattern = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// compact removes the blanks of a JSON text.
func compact(data []byte) (json.RawMessage, error) {
	var buffer bytes.Buffer
	if err := json.Compact(&buffer, data); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	return buffer.Bytes(), nil
}
