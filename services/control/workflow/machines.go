package workflow

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/awsapi"
	sfn "github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/pkg/blob"
)

// The exceptions of Step Functions.
const (
	invalidArn                = "InvalidArn"
	invalidName               = "InvalidName"
	invalidDefinition         = "InvalidDefinition"
	invalidToken              = "InvalidToken"
	invalidInput              = "InvalidExecutionInput"
	invalidOutput             = "InvalidOutput"
	machineExists             = "StateMachineAlreadyExists"
	machineAbsent             = "StateMachineDoesNotExist"
	machineTypeNotSupported   = "StateMachineTypeNotSupported"
	executionExists           = "ExecutionAlreadyExists"
	executionAbsent           = "ExecutionDoesNotExist"
	taskTimedOut              = "TaskTimedOut"
	resourceAbsent            = "ResourceNotFound"
	tooManyTags               = "TooManyTags"
	standard                  = "STANDARD"
	maxTags                   = 50
	machineType, executionArn = "stateMachine", "execution"
)

// arn returns the ARN of a machine or an execution.
func (s *Service) arn(ctx context.Context, kind, id string) string {
	return "arn:aws:states:" + s.regionOf(ctx) + ":" + s.AccountID + ":" + kind + ":" + id
}

// regionOf returns the region that a request is signed for, or the installation's.
func (s *Service) regionOf(ctx context.Context) string {
	if region := awsapi.RequestRegion(ctx); region != "" {
		return region
	}
	return s.Region
}

// parseARN takes the ARN of a machine, or of an execution, apart.
func parseARN(arn, kind string) (id string, err error) {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) != 7 || parts[0] != "arn" || parts[2] != "states" || parts[5] != kind || parts[6] == "" {
		return "", refuse(
			invalidArn, "Invalid Arn: '%s' is not the ARN of %s", arn,
			map[string]string{machineType: "a state machine", executionArn: "an execution"}[kind],
		)
	}
	return parts[6], nil
}

// checkName refuses what the API's documentation excludes from names.
func checkName(name string) error {
	for _, r := range name {
		if r <= ' ' || r >= 0x7f && r <= 0x9f || strings.ContainsRune("<>{}[]?*\"#%\\^|~`$&,;:/", r) {
			return refuse(invalidName, "Invalid Name: '%s' holds %q", name, r)
		}
	}
	return nil
}

func (s *Service) parse(definition string) (asl.Diagnostics, error) {
	_, found := asl.Parse(definition, s.checkResource)
	if err := found.Err(); err != nil {
		return found, refuse(invalidDefinition, "Invalid State Machine Definition: '%v'", err)
	}
	return found, nil
}

func (s *Service) findMachine(ctx context.Context, arn string) (*machine, error) {
	name, err := parseARN(arn, machineType)
	if err != nil {
		return nil, err
	}
	m, _, err := s.machineDocument(name).Read(ctx)
	if errors.Is(err, blob.ErrNotFound) || err == nil && m.ARN != arn {
		return nil, refuse(machineAbsent, "State Machine Does Not Exist: '%s'", arn)
	}
	return m, err
}

// machineAPI has the operations of state machines and their tags.
type machineAPI struct{ *Service }

func (s machineAPI) create(
	ctx context.Context, req *sfn.CreateStateMachineInput,
) (*sfn.CreateStateMachineOutput, error) {
	if err := checkName(*req.Name); err != nil {
		return nil, err
	}
	switch {
	case req.Type != nil && *req.Type != standard:
		return nil, refuse(machineTypeNotSupported, "State Machine Type Not Supported: only STANDARD is")
	case req.Publish != nil && *req.Publish:
		return nil, refuse(
			awsapi.CodeValidation, "Versions of state machines are not supported: 'publish' must be false",
		)
	}
	if _, err := s.parse(*req.Definition); err != nil {
		return nil, err
	}
	tags, err := withTags(nil, req.Tags)
	if err != nil {
		return nil, err
	}
	m := &machine{
		ARN: s.arn(ctx, machineType, *req.Name), Name: *req.Name, Definition: *req.Definition, RoleARN: *req.RoleArn,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond), Tags: tags,
	}
	document := s.machineDocument(m.Name)
	_, err = document.Create(ctx, m)
	if errors.Is(err, blob.ErrPrecondition) {
		old, _, err := document.Read(ctx)
		if err != nil {
			return nil, err
		}
		if old.ARN != m.ARN || old.Definition != m.Definition || old.RoleARN != m.RoleARN {
			return nil, refuse(machineExists, "State Machine Already Exists: '%s'", old.ARN)
		}
		m = old
	} else if err != nil {
		return nil, err
	}
	return &sfn.CreateStateMachineOutput{StateMachineArn: &m.ARN, CreationDate: awsapi.At(m.CreatedAt)}, nil
}

func (s machineAPI) update(
	ctx context.Context, req *sfn.UpdateStateMachineInput,
) (*sfn.UpdateStateMachineOutput, error) {
	if req.Publish != nil && *req.Publish {
		return nil, refuse(
			awsapi.CodeValidation, "Versions of state machines are not supported: 'publish' must be false",
		)
	}
	if req.Definition == nil && req.RoleArn == nil && req.LoggingConfiguration == nil &&
		req.TracingConfiguration == nil &&
		req.EncryptionConfiguration == nil {
		return nil, refuse("MissingRequiredParameter", "Either the definition or the role ARN must be specified")
	}
	if req.Definition != nil {
		if _, err := s.parse(*req.Definition); err != nil {
			return nil, err
		}
	}
	m, err := s.findMachine(ctx, *req.StateMachineArn)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	m, err = s.changeMachine(ctx, m, func(m *machine) error {
		if req.Definition != nil {
			m.Definition = *req.Definition
		}
		if req.RoleArn != nil {
			m.RoleARN = *req.RoleArn
		}
		m.Revision = newID()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sfn.UpdateStateMachineOutput{UpdateDate: awsapi.At(now), RevisionId: &m.Revision}, nil
}

func (s machineAPI) changeMachine(ctx context.Context, m *machine, change func(*machine) error) (*machine, error) {
	changed, _, err := s.machineDocument(m.Name).Update(ctx, func(m *machine) error {
		return change(m)
	})
	if errors.Is(err, blob.ErrNotFound) {
		return nil, refuse(machineAbsent, "State Machine Does Not Exist: '%s'", m.ARN)
	}
	return changed, err
}

// delete removes the machine at once; its executions run on to their end.
func (s machineAPI) delete(
	ctx context.Context, req *sfn.DeleteStateMachineInput,
) (*sfn.DeleteStateMachineOutput, error) {
	m, err := s.findMachine(ctx, *req.StateMachineArn)
	var refusal *awsapi.Error
	if errors.As(err, &refusal) && refusal.Code == machineAbsent {
		return &sfn.DeleteStateMachineOutput{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &sfn.DeleteStateMachineOutput{}, s.Bucket.Delete(ctx, machineKey(m.Name))
}

func (s machineAPI) describe(
	ctx context.Context, req *sfn.DescribeStateMachineInput,
) (*sfn.DescribeStateMachineOutput, error) {
	m, err := s.findMachine(ctx, *req.StateMachineArn)
	if err != nil {
		return nil, err
	}
	return &sfn.DescribeStateMachineOutput{
		StateMachineArn: &m.ARN, Name: &m.Name, Status: new("ACTIVE"), Definition: &m.Definition, RoleArn: &m.RoleARN,
		Type:         new(standard),
		CreationDate: awsapi.At(m.CreatedAt), RevisionId: awsapi.Present(m.Revision),
		LoggingConfiguration: &sfn.LoggingConfiguration{Level: new("OFF"), IncludeExecutionData: new(false)},
		TracingConfiguration: &sfn.TracingConfiguration{Enabled: new(false)},
	}, nil
}

func (s machineAPI) list(
	ctx context.Context, req *sfn.ListStateMachinesInput,
) (*sfn.ListStateMachinesOutput, error) {
	machines, err := list[machine](ctx, s.Bucket, machinesRoot)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(machines, func(a, b *machine) int { return strings.Compare(a.ARN, b.ARN) })
	found, next, err := page(machines, func(m *machine) string { return m.ARN }, req.NextToken, req.MaxResults)
	if err != nil {
		return nil, err
	}
	items := make([]sfn.StateMachineListItem, len(found))
	for i, m := range found {
		items[i] = sfn.StateMachineListItem{
			StateMachineArn: &m.ARN,
			Name:            &m.Name,
			Type:            new(standard),
			CreationDate:    awsapi.At(m.CreatedAt),
		}
	}
	return &sfn.ListStateMachinesOutput{StateMachines: items, NextToken: next}, nil
}

const defaultPage = 100

// page cuts one page out of a list in which at orders the items, and says where the next one begins.
func page[T any](items []T, at func(T) string, token *string, size *int64) ([]T, *string, error) {
	if token != nil {
		after, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil || len(after) == 0 {
			return nil, nil, refuse(invalidToken, "Invalid Token: 'Invalid token'")
		}
		for len(items) > 0 && at(items[0]) <= string(after) {
			items = items[1:]
		}
	}
	most := defaultPage
	if size != nil && *size > 0 {
		most = int(*size)
	}
	if len(items) <= most {
		return items, nil, nil
	}
	return items[:most], new(base64.RawURLEncoding.EncodeToString([]byte(at(items[most-1])))), nil
}

func (s machineAPI) validateDefinition(
	_ context.Context, req *sfn.ValidateStateMachineDefinitionInput,
) (*sfn.ValidateStateMachineDefinitionOutput, error) {
	found, err := s.parse(*req.Definition)
	result := "OK"
	if err != nil {
		result = "FAIL"
	}
	most := defaultPage
	if req.MaxResults != nil && *req.MaxResults > 0 {
		most = int(*req.MaxResults)
	}
	diagnostics, truncated := []sfn.ValidateStateMachineDefinitionDiagnostic{}, false
	for _, d := range found {
		if awsapi.Text(req.Severity) == asl.SeverityError && d.Severity != asl.SeverityError {
			continue
		}
		if truncated = len(diagnostics) == most; truncated {
			break
		}
		diagnostics = append(diagnostics, sfn.ValidateStateMachineDefinitionDiagnostic{
			Severity: &d.Severity, Code: &d.Code, Message: &d.Message, Location: awsapi.Present(d.Location),
		})
	}
	return &sfn.ValidateStateMachineDefinitionOutput{
		Result:      &result,
		Diagnostics: diagnostics,
		Truncated:   &truncated,
	}, nil
}

func withTags(old map[string]string, tags []sfn.Tag) (map[string]string, error) {
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	for _, tag := range tags {
		all[awsapi.Text(tag.Key)] = awsapi.Text(tag.Value)
	}
	if len(all) > maxTags {
		return nil, refuse(tooManyTags, "A state machine can have at most %d tags", maxTags)
	}
	return all, nil
}

// tagged finds what a tag operation names: only machines have tags.
func (s machineAPI) tagged(ctx context.Context, arn string) (*machine, error) {
	m, err := s.findMachine(ctx, arn)
	var refusal *awsapi.Error
	if errors.As(err, &refusal) && refusal.Code == machineAbsent {
		return nil, refuse(resourceAbsent, "Resource not found: '%s'", arn)
	}
	return m, err
}

func (s machineAPI) tag(ctx context.Context, req *sfn.TagResourceInput) (*sfn.TagResourceOutput, error) {
	m, err := s.tagged(ctx, *req.ResourceArn)
	if err != nil {
		return nil, err
	}
	_, err = s.changeMachine(ctx, m, func(m *machine) (err error) {
		m.Tags, err = withTags(m.Tags, req.Tags)
		return err
	})
	return &sfn.TagResourceOutput{}, err
}

func (s machineAPI) untag(ctx context.Context, req *sfn.UntagResourceInput) (*sfn.UntagResourceOutput, error) {
	m, err := s.tagged(ctx, *req.ResourceArn)
	if err != nil {
		return nil, err
	}
	_, err = s.changeMachine(ctx, m, func(m *machine) error {
		maps.DeleteFunc(m.Tags, func(key, _ string) bool { return slices.Contains(req.TagKeys, key) })
		return nil
	})
	return &sfn.UntagResourceOutput{}, err
}

func (s machineAPI) listTags(
	ctx context.Context, req *sfn.ListTagsForResourceInput,
) (*sfn.ListTagsForResourceOutput, error) {
	m, err := s.tagged(ctx, *req.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags := []sfn.Tag{}
	for _, key := range slices.Sorted(maps.Keys(m.Tags)) {
		tags = append(tags, sfn.Tag{Key: new(key), Value: new(m.Tags[key])})
	}
	return &sfn.ListTagsForResourceOutput{Tags: tags}, nil
}
