package catalog

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/bus"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// BusNotifier announces changes as records of penchant.control, keyed by ARN.
func BusNotifier(client *bus.Client) Notifier { return busNotifier{client} }

type busNotifier struct{ client *bus.Client }

func (n busNotifier) ResourceChanged(ctx context.Context, arn string, revision int64, deleted bool) error {
	value, err := proto.Marshal(&penchantv1.ResourceChanged{Arn: arn, Revision: revision, Deleted: deleted})
	if err != nil {
		return fmt.Errorf("encoding a notice: %w", err)
	}
	record := bus.Record{
		Topic: bus.ControlTopic,
		Key:   []byte(arn),
		Value: value,
		Headers: []bus.Header{
			{Key: "content-type", Value: []byte("application/x-protobuf")},
			{Key: "ce_type", Value: []byte("penchant.v1.ResourceChanged")},
		},
	}
	if err := n.client.Publish(ctx, record); err != nil {
		return fmt.Errorf("publishing a notice: %w", err)
	}
	return nil
}
