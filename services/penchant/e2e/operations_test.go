package e2e

import (
	"errors"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestEveryOperationIsAnswered: whatever the API models know, a whole process knows. It refuses an empty request for
// what it lacks, or answers it, but never as an unknown operation.
func TestEveryOperationIsAnswered(t *testing.T) {
	t.Parallel()
	services := []struct {
		name       string
		operations []awsapi.Operation
		count      int
	}{
		{"personalize", personalize.Operations, 71},
		{"personalize-events", personalizeevents.Operations, 5},
		{"personalize-runtime", personalizeruntime.Operations, 3},
	}
	api := penchanttest.Start(t, "all", t.TempDir()).API()
	for _, service := range services {
		if len(service.operations) != service.count {
			t.Errorf("the model of %s has %d operations, not %d", service.name, len(service.operations), service.count)
		}
		for _, operation := range service.operations {
			var err error
			if operation.Path == "/" {
				err = api.Call(t.Context(), operation.Name, struct{}{}, nil)
			} else {
				err = api.Post(t.Context(), operation.Path, struct{}{}, nil)
			}
			var refusal *awsapi.Error
			if err != nil && !errors.As(err, &refusal) {
				t.Fatalf("%s: %v", operation.Name, err)
			}
			if err == nil {
				continue
			}
			if refusal.Code == awsapi.CodeUnknownOperation {
				t.Errorf("%s is not answered", operation.Name)
			} else if !slices.Contains(operation.Errors, refusal.Code) {
				t.Errorf("%s refuses an empty request with %s, which its model does not list", operation.Name,
					refusal.Code)
			}
		}
	}
}
