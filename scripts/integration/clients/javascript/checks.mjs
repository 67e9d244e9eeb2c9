// What the SDK does around its calls: paginators, modelled exceptions, times, retries. See test_sdks.py.
import assert from "node:assert/strict";
import {
  InvalidInputException, InvalidNextTokenException, paginateListSchemas, Personalize, ResourceAlreadyExistsException,
  ResourceNotFoundException,
} from "@aws-sdk/client-personalize";
import { InvalidInputException as InvalidEvent, PersonalizeEvents } from "@aws-sdk/client-personalize-events";
import { PersonalizeRuntime, ResourceNotFoundException as CampaignNotFound } from "@aws-sdk/client-personalize-runtime";

const [name, trackingId] = process.argv.slice(2);
const personalize = new Personalize(), events = new PersonalizeEvents(), runtime = new PersonalizeRuntime();

const schema = JSON.stringify({
  type: "record", name: "Interactions", namespace: "com.amazonaws.personalize.schema", version: "1.0",
  fields: [{ name: "USER_ID", type: "string" }, { name: "ITEM_ID", type: "string" }, { name: "TIMESTAMP", type: "long" }],
});
for (let n = 0; n < 5; n++) await personalize.createSchema({ name: `${name}-${n}`, schema });
const found = [];
for await (const page of paginateListSchemas({ client: personalize, pageSize: 2 }, {})) {
  assert.ok(page.schemas.length <= 2);
  found.push(...page.schemas.filter((s) => s.name.startsWith(`${name}-`)));
}
assert.deepEqual(found.map((s) => s.name).sort(), [0, 1, 2, 3, 4].map((n) => `${name}-${n}`));
assert.ok(Math.abs(found[0].creationDateTime - Date.now()) < 300_000, found[0].creationDateTime);

async function refused(exception, call) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof exception, `${error} is no ${exception.name}`);
    assert.ok(error.message && error.$metadata.requestId, error);
    return true;
  });
}
const campaignArn = "arn:aws:personalize:us-east-1:000000000000:campaign/absent";
await refused(ResourceAlreadyExistsException, () => personalize.createSchema({ name: `${name}-0`, schema }));
await refused(ResourceNotFoundException, () => personalize.describeCampaign({ campaignArn }));
await refused(InvalidInputException, () => personalize.createSchema({ name: "no spaces", schema }));
await refused(InvalidNextTokenException, () => personalize.listSchemas({ nextToken: "none-of-ours" }));
await refused(CampaignNotFound, () => runtime.getRecommendations({ campaignArn, userId: "ada" }));
const event = { trackingId, sessionId: "s", userId: "ada" };
await refused(InvalidEvent, () => events.putEvents({
  ...event, eventList: [{ eventType: "view", itemId: "book", sentAt: new Date(0), properties: "no JSON" }],
}));

await events.putEvents({
  ...event,
  eventList: [{
    eventId: name, eventType: "view", itemId: 'Über & "Bücher" 漢字', eventValue: 0.5, sentAt: new Date("2024-02-29T12:34:56.789Z"),
  }],
});
