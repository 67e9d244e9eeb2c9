package tracker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/reco"
)

func item(id, properties string) string {
	return fmt.Sprintf(`{"itemId":%q,"properties":%q}`, id, properties)
}

func putItems(arn string, list ...string) string {
	return fmt.Sprintf(`{"datasetArn":%q,"items":[%s]}`, arn, strings.Join(list, ","))
}

func putUsers(arn string, list ...string) string {
	return fmt.Sprintf(`{"datasetArn":%q,"users":[%s]}`, arn, strings.Join(list, ","))
}

func TestPutEntities(t *testing.T) {
	f := newFixture(t)
	full := item("A01", `{"genres":"a|b","price":"9.5","CREATION_TIMESTAMP":1700000000,"colour":"red"}`)
	for _, c := range []struct {
		name, path, body, topic string
		want                    []reco.Entity
	}{
		{"item", "/items", putItems(itemsARN, full), "penchant.shop-1.items", []reco.Entity{
			{ID: "A01", Properties: map[string]any{"GENRES": "a|b", "PRICE": 9.5, "CREATION_TIMESTAMP": int64(1700000000)}}}},
		{"null where it may be", "/items", putItems(itemsARN, item("A01", `{"genres":"a","price":null,"creationTimestamp":1}`)), "penchant.shop-1.items", []reco.Entity{
			{ID: "A01", Properties: map[string]any{"GENRES": "a", "PRICE": nil, "CREATION_TIMESTAMP": int64(1)}}}},
		{"users", "/users", putUsers(usersARN, `{"userId":"u1","properties":"{\"age\":33}"}`, `{"userId":"u2"}`), "penchant.shop-1.users", []reco.Entity{
			{ID: "u1", Properties: map[string]any{"AGE": int64(33)}}, {ID: "u2"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if resp, answer := f.post(t, c.path, c.body); resp.StatusCode != 200 || answer != "" {
				t.Fatalf("status %d, %s", resp.StatusCode, answer)
			}
			var got []reco.Entity
			for _, record := range f.log.take() {
				e, err := reco.UnmarshalEntity(record.Value)
				if err != nil || record.Topic != c.topic || string(record.Key) != e.ID {
					t.Errorf("topic %s, key %s, %v", record.Topic, record.Key, err)
				}
				got = append(got, e)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPutEntitiesRefuses(t *testing.T) {
	f := newFixture(t)
	good := item("A01", `{"genres":"a","creationTimestamp":1}`)
	user := `{"userId":"u1"}`
	for _, c := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"no items", "/items", putItems(itemsARN), 400, "InvalidInputException"},
		{"eleven items", "/items", putItems(itemsARN, strings.Split(strings.TrimSuffix(strings.Repeat(good+"|", 11), "|"), "|")...), 400, "InvalidInputException"},
		{"no id", "/items", putItems(itemsARN, `{"properties":"{}"}`), 400, "InvalidInputException"},
		{"long id", "/items", putItems(itemsARN, item(strings.Repeat("x", 257), `{}`)), 400, "InvalidInputException"},
		{"no ARN", "/items", putItems("items", good), 400, "InvalidInputException"},
		{"unknown dataset", "/items", putItems(strings.Replace(itemsARN, "shop", "other", 1), good), 404, "ResourceNotFoundException"},
		{"items into a users dataset", "/items", putItems(usersARN, good), 400, "InvalidInputException"},
		{"users into an items dataset", "/users", putUsers(itemsARN, user), 400, "InvalidInputException"},
		{"dataset not active", "/items", putItems(creatingARN, good), 409, "ResourceInUseException"},
		{"required column absent", "/items", putItems(itemsARN, item("A01", `{"creationTimestamp":1}`)), 400, "InvalidInputException"},
		{"no properties though columns are required", "/items", putItems(itemsARN, `{"itemId":"A01"}`), 400, "InvalidInputException"},
		{"required column null", "/items", putItems(itemsARN, item("A01", `{"genres":null,"creationTimestamp":1}`)), 400, "InvalidInputException"},
		{"text for a number", "/items", putItems(itemsARN, item("A01", `{"genres":"a","creationTimestamp":"now"}`)), 400, "InvalidInputException"},
		{"not JSON", "/items", putItems(itemsARN, item("A01", `genres`)), 400, "InvalidInputException"},
		{"one bad item of two", "/items", putItems(itemsARN, good, item("A02", `{}`)), 400, "InvalidInputException"},
		{"text for an age", "/users", putUsers(usersARN, `{"userId":"u1","properties":"{\"age\":\"old\"}"}`), 400, "InvalidInputException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, answer := f.post(t, c.path, c.body)
			if resp.StatusCode != c.status || resp.Header.Get("x-amzn-ErrorType") != c.code {
				t.Errorf("status %d, %s", resp.StatusCode, answer)
			}
			if published := f.log.take(); published != nil {
				t.Errorf("%d records were published", len(published))
			}
		})
	}
}
