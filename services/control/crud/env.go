// Package crud is what the resources of the control plane have in common: a Row for each type, which says which
// operations it has and how the reconciler drives it; Create, the one way in which resources come into being; and
// finding, listing and deleting them. The resources themselves are in the package control, which calls this one.
//
// A request is refused for the first of these reasons that applies: an ARN of the wrong type, an ARN of nothing, a name
// that is taken, too many tags, a quota, a state that does not allow it, and what is wrong in itself (a schema, a
// hyperparameter).
package crud

import (
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// Env is shared by all resources: where they are stored, and what new ones are bounded and named by.
type Env struct {
	Store  *catalog.Store
	View   *catalog.View
	Bus    *bus.Client
	Bucket *blob.Bucket
	Log    *zap.Logger

	// Account and Region are parts of new ARNs; a client that signs for another region gets that one.
	Account, Region string
	Quotas          Quotas
}

// NewARN returns the ARN of a new resource that has no parent.
func (e *Env) NewARN(ctx context.Context, kind, id string) string {
	region := awsapi.RequestRegion(ctx)
	if region == "" {
		region = e.Region
	}
	return resource.ARN{Region: region, Account: e.Account, Type: kind, ID: id}.String()
}

const (
	// announceTimeout bounds how long a request waits for the announcement of its job.
	announceTimeout = 2 * time.Second
	// pingTimeout bounds how long a reconciler waits for Kafka to answer.
	pingTimeout = 2 * time.Second
	// deleteBatch bounds the keys of one deletion in the bucket.
	deleteBatch = 500
)

// AnnounceJob publishes a new job to the retrainers. A failure is only logged: they find the job at their next scan.
func (e *Env) AnnounceJob(ctx context.Context, arn string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceTimeout)
	defer cancel()
	if err := e.publishJob(ctx, arn); err != nil {
		e.Log.Warn(
			"announcing a job failed, workers find it at their next scan", zap.String("arn", arn), zap.Error(err),
		)
	}
}

func (e *Env) publishJob(ctx context.Context, arn string) error {
	value, err := proto.Marshal(&penchantv1.JobReady{Arn: arn})
	if err != nil {
		return err
	}
	return e.Bus.Publish(ctx, bus.Record{
		Topic: bus.JobsTopic, Key: []byte(arn), Value: value,
		Headers: []bus.Header{
			{Key: "content-type", Value: []byte("application/x-protobuf")},
			{Key: "ce_type", Value: []byte("penchant.v1.JobReady")},
		},
	})
}

// PingBus fails fast while Kafka is away: the reconciler retries what needs it, and its workers are free meanwhile.
func (e *Env) PingBus(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return e.Bus.Ping(ctx)
}

// DeletePrefix deletes all objects of the bucket whose keys begin with prefix.
func (e *Env) DeletePrefix(ctx context.Context, prefix string) error {
	var keys []string
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		err := e.Bucket.Delete(ctx, keys...)
		keys = keys[:0]
		return err
	}
	for info, err := range e.Bucket.List(ctx, prefix) {
		if err != nil {
			return err
		}
		if keys = append(keys, info.Key); len(keys) == deleteBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
