package recommender

import (
	"slices"
	"strconv"
	"strings"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/schema"
)

// metadataDataset is the only key of metadataColumns.
const metadataDataset = "ITEMS"

const maxMetadataColumns = 10

// validateMetadata checks the request for metadata as far as that can be done without the Items dataset.
func validateMetadata(serving *modelstore.Serving, columns map[string][]string) error {
	if len(columns) == 0 {
		return nil
	}
	if !serving.Metadata() {
		return awsapi.InvalidInput("metadataColumns: %s was not created with enableMetadataWithRecommendations",
			serving.ARN())
	}
	for key, list := range columns {
		if key != metadataDataset {
			return awsapi.InvalidInput("metadataColumns: the key %s is unknown; it must be %s", key, metadataDataset)
		}
		if n := len(list); n > maxMetadataColumns {
			return awsapi.InvalidInput("metadataColumns: %d columns are asked for; there must be at most %d",
				n, maxMetadataColumns)
		}
	}
	return nil
}

// metadataFields finds the columns that a request asks for, in any case.
func metadataFields(table *attributes.Table, columns map[string][]string) ([]schema.Field, error) {
	var fields, known []schema.Field
	if table.Schema != nil {
		known = table.Schema.Metadata()
	}
	for _, name := range columns[metadataDataset] {
		i := slices.IndexFunc(known, func(f schema.Field) bool { return strings.EqualFold(f.Name, name) })
		if i < 0 {
			return nil, awsapi.InvalidInput("metadataColumns: the Items dataset has no column %s", name)
		}
		fields = append(fields, known[i])
	}
	return fields, nil
}

// metadataOf returns an item's columns as text, under the schema's names. Columns without a value are left out.
func metadataOf(table *attributes.Table, id string, fields []schema.Field) map[string]string {
	row, ok := table.Row(id)
	if !ok {
		return nil
	}
	metadata := make(map[string]string, len(fields))
	for _, f := range fields {
		switch v := table.Attribute(row, f.Name).(type) {
		case string:
			metadata[f.Name] = v
		case int64:
			metadata[f.Name] = strconv.FormatInt(v, 10)
		case float64:
			metadata[f.Name] = strconv.FormatFloat(v, 'f', -1, 64)
		case bool:
			metadata[f.Name] = strconv.FormatBool(v)
		}
	}
	return metadata
}
