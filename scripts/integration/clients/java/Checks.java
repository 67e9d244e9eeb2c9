import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.Collectors;
import software.amazon.awssdk.core.exception.SdkServiceException;
import software.amazon.awssdk.services.personalize.PersonalizeClient;
import software.amazon.awssdk.services.personalize.model.InvalidInputException;
import software.amazon.awssdk.services.personalize.model.InvalidNextTokenException;
import software.amazon.awssdk.services.personalize.model.ResourceAlreadyExistsException;
import software.amazon.awssdk.services.personalize.model.ResourceNotFoundException;
import software.amazon.awssdk.services.personalizeevents.PersonalizeEventsClient;
import software.amazon.awssdk.services.personalizeruntime.PersonalizeRuntimeClient;

/** What the SDK does around its calls: paginators, modelled exceptions, times, retries. See test_sdks.py. */
public class Checks {
    public static void main(String[] args) {
        String name = args[0], trackingId = args[1];
        try (var personalize = PersonalizeClient.create();
                var events = PersonalizeEventsClient.create();
                var runtime = PersonalizeRuntimeClient.create()) {
            var schema = """
                    {"type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema",
                     "version": "1.0", "fields": [
                       {"name": "USER_ID", "type": "string"}, {"name": "ITEM_ID", "type": "string"},
                       {"name": "TIMESTAMP", "type": "long"}]}
                    """;
            for (int n = 0; n < 5; n++) {
                String schemaName = name + "-" + n;
                personalize.createSchema(r -> r.name(schemaName).schema(schema));
            }
            var names = personalize.listSchemasPaginator(r -> r.maxResults(2)).schemas().stream()
                    .map(s -> s.name()).filter(s -> s.startsWith(name + "-")).sorted().collect(Collectors.toList());
            check("paginator", names.equals(List.of(name + "-0", name + "-1", name + "-2", name + "-3", name + "-4")), names);
            var made = personalize.listSchemasPaginator(r -> r.maxResults(2)).schemas().stream()
                    .filter(s -> s.name().equals(name + "-0")).findFirst().orElseThrow().creationDateTime();
            check("time", Duration.between(made, Instant.now()).abs().toMinutes() < 5, made);

            String absent = "arn:aws:personalize:us-east-1:000000000000:campaign/absent";
            refused(ResourceAlreadyExistsException.class, () -> personalize.createSchema(r -> r.name(name + "-0").schema(schema)));
            refused(ResourceNotFoundException.class, () -> personalize.describeCampaign(r -> r.campaignArn(absent)));
            refused(InvalidInputException.class, () -> personalize.createSchema(r -> r.name("no spaces").schema(schema)));
            refused(InvalidNextTokenException.class, () -> personalize.listSchemas(r -> r.nextToken("none-of-ours")));
            refused(software.amazon.awssdk.services.personalizeruntime.model.ResourceNotFoundException.class,
                    () -> runtime.getRecommendations(r -> r.campaignArn(absent).userId("ada")));
            refused(software.amazon.awssdk.services.personalizeevents.model.InvalidInputException.class,
                    () -> events.putEvents(r -> r.trackingId(trackingId).sessionId("s").userId("ada")
                            .eventList(e -> e.eventType("view").itemId("book").sentAt(Instant.EPOCH).properties("no JSON"))));

            events.putEvents(r -> r.trackingId(trackingId).sessionId("s").userId("ada").eventList(e -> e
                    .eventId(name).eventType("view").itemId("Über & \"Bücher\" 漢字").eventValue(0.5f)
                    .sentAt(Instant.parse("2024-02-29T12:34:56.789Z"))));
        }
    }

    static void check(String what, boolean holds, Object found) {
        if (!holds) {
            throw new AssertionError(what + ": " + found);
        }
    }

    static void refused(Class<? extends SdkServiceException> exception, Runnable call) {
        try {
            call.run();
        } catch (SdkServiceException e) {
            check("exception", exception.isInstance(e), e.getClass() + ", not " + exception + ": " + e.getMessage());
            check("message", e.getMessage() != null && e.requestId() != null, e);
            return;
        }
        throw new AssertionError("no " + exception);
    }
}
