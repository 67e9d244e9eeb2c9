package tracker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/wire"
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

func putActions(arn string, list ...string) string {
	return fmt.Sprintf(`{"datasetArn":%q,"actions":[%s]}`, arn, strings.Join(list, ","))
}

func action(id, properties string) string {
	return fmt.Sprintf(`{"actionId":%q,"properties":%q}`, id, properties)
}

func TestPutEntities(t *testing.T) {
	t.Parallel()
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
		{"actions", "/actions", putActions(actionsARN,
			action("join", `{"value":10,"membershipLevel":"gold|silver","creationTimestamp":1700000000,"actionExpirationTimestamp":"1800000000","REPEAT_FREQUENCY":7}`),
			action("call", `{"membershipLevel":"gold","creationTimestamp":1,"repeatFrequency":null,"unknown":1}`)), "penchant.shop-1.actions", []reco.Entity{
			{ID: "join", Properties: map[string]any{"VALUE": int64(10), "MEMBERSHIP_LEVEL": "gold|silver", "CREATION_TIMESTAMP": int64(1700000000),
				"ACTION_EXPIRATION_TIMESTAMP": int64(1800000000), "REPEAT_FREQUENCY": int64(7)}},
			{ID: "call", Properties: map[string]any{"MEMBERSHIP_LEVEL": "gold", "CREATION_TIMESTAMP": int64(1), "REPEAT_FREQUENCY": nil}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if resp, answer := f.post(t, c.path, c.body); resp.StatusCode != 200 || answer != "" {
				t.Fatalf("status %d, %s", resp.StatusCode, answer)
			}
			var got []reco.Entity
			for _, record := range f.log.take() {
				e, err := wire.UnmarshalEntity(record.Value)
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
	t.Parallel()
	f := newFixture(t)
	good := item("A01", `{"genres":"a","creationTimestamp":1}`)
	user := `{"userId":"u1"}`
	offer := action("join", `{"membershipLevel":"gold","creationTimestamp":1}`)
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
		{"long properties", "/items", putItems(itemsARN, item("A01", `{"x":"`+strings.Repeat("x", 32000)+`"}`)), 400, "InvalidInputException"},
		{"long user properties", "/users", putUsers(usersARN, fmt.Sprintf(`{"userId":"u1","properties":%q}`, `{"x":"`+strings.Repeat("x", 24000)+`"}`)), 400, "InvalidInputException"},
		{"no users", "/users", putUsers(usersARN), 400, "InvalidInputException"},
		{"unknown users dataset", "/users", putUsers(strings.Replace(usersARN, "shop", "other", 1), user), 404, "ResourceNotFoundException"},
		{"no actions", "/actions", putActions(actionsARN), 400, "InvalidInputException"},
		{"eleven actions", "/actions", putActions(actionsARN, strings.Split(strings.TrimSuffix(strings.Repeat(offer+"|", 11), "|"), "|")...), 400, "InvalidInputException"},
		{"no action id", "/actions", putActions(actionsARN, `{"properties":"{}"}`), 400, "InvalidInputException"},
		{"empty action id", "/actions", putActions(actionsARN, action("", `{"membershipLevel":"gold","creationTimestamp":1}`)), 400, "InvalidInputException"},
		{"long action id", "/actions", putActions(actionsARN, action(strings.Repeat("x", 257), `{"membershipLevel":"gold","creationTimestamp":1}`)), 400, "InvalidInputException"},
		{"long action properties", "/actions", putActions(actionsARN, action("join", `{"x":"`+strings.Repeat("x", 32000)+`"}`)), 400, "InvalidInputException"},
		{"unknown actions dataset", "/actions", putActions(strings.Replace(actionsARN, "shop", "other", 1), offer), 404, "ResourceNotFoundException"},
		{"actions into an items dataset", "/actions", putActions(itemsARN, offer), 400, "InvalidInputException"},
		{"items into an actions dataset", "/items", putItems(actionsARN, good), 400, "InvalidInputException"},
		{"actions dataset not active", "/actions", putActions(creatingARN, offer), 409, "ResourceInUseException"},
		{"action without a required column", "/actions", putActions(actionsARN, action("join", `{"creationTimestamp":1}`)), 400, "InvalidInputException"},
		{"action expiring in milliseconds", "/actions", putActions(actionsARN, action("join", `{"membershipLevel":"gold","creationTimestamp":1,"actionExpirationTimestamp":1800000000000}`)), 400, "InvalidInputException"},
		{"text for a repeat frequency", "/actions", putActions(actionsARN, action("join", `{"membershipLevel":"gold","creationTimestamp":1,"repeatFrequency":"weekly"}`)), 400, "InvalidInputException"},
		{"one bad action of two", "/actions", putActions(actionsARN, offer, action("call", `{}`)), 400, "InvalidInputException"},
		{"action properties that are a list", "/actions", putActions(actionsARN, action("join", `[]`)), 400, "InvalidInputException"},
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
