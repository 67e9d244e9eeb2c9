package e2e

import (
	"fmt"
	"strings"
)

// runtime sends what GetRecommendations and GetPersonalizedRanking must refuse.
func (s *badShop) runtime() {
	x := strings.Repeat
	var calls []refused
	many := func(n int) string {
		pairs := make([]string, n)
		for i := range pairs {
			pairs[i] = fmt.Sprintf(`"K%d":"v"`, i)
		}
		return "{" + strings.Join(pairs, ",") + "}"
	}
	list := func(n int) string { return "[" + strings.TrimSuffix(x(`"i",`, n), ",") + "]" }

	for _, c := range []struct{ path, campaign string }{{"/recommendations", s.campaign}, {"/personalize-ranking", s.rankingCampaign}} {
		good := `{"campaignArn":"` + c.campaign + `","userId":"u"}`
		if c.path == "/personalize-ranking" {
			good = with(good, "inputList", `["item-1"]`)
		}
		bad := func(member, value, code string, mentions ...string) {
			calls = append(calls, refused{c.path, with(good, member, value), code, mentions})
		}
		bad("campaignArn", "", invalidInput, "campaignArn")
		bad("campaignArn", "null", invalidInput, "campaignArn")
		bad("campaignArn", `""`, invalidInput, "'campaignArn'", "regular expression")
		bad("campaignArn", `"shop"`, invalidInput, "'campaignArn'", "regular expression")
		bad("campaignArn", "7", invalidInput, "'campaignArn'", "number")
		bad("campaignArn", quoted(accountARN+"campaign/"+x("c", 256)), invalidInput, "'campaignArn'", "less than or equal to 256")
		bad("campaignArn", quoted(s.solution), invalidInput, "campaignArn", "campaign")
		bad("campaignArn", quoted(accountARN+"campaign/absent"), notFound, "campaign/absent")
		bad("campaignArn", quoted(strings.Replace(c.campaign, "000000000000", "111111111111", 1)), notFound, "111111111111")
		bad("campaignArn", quoted(c.campaign+"\x00"), notFound, "campaign/")
		bad("campaignArn", quoted(accountARN+"campaign/../../datasets"), notFound, "campaign/")
		bad("userId", quoted(x("u", 257)), invalidInput, "'userId'", "less than or equal to 256")
		bad("userId", "7", invalidInput, "'userId'", "number")
		bad("userId", "[]", invalidInput, "'userId'", "array")
		bad("userId", "", invalidInput, "userId")
		bad("context", many(151), invalidInput, "'context'", "less than or equal to 150")
		bad("context", `{"a b":"v"}`, invalidInput, "'context.key'", "regular expression")
		bad("context", `{"`+x("k", 151)+`":"v"}`, invalidInput, "'context.key'", "less than or equal to 150")
		bad("context", `{"K":"`+x("v", 1001)+`"}`, invalidInput, "context.K", "less than or equal to 1000")
		bad("context", `{"K":7}`, invalidInput, "'context'", "number")
		bad("context", `"phone"`, invalidInput, "'context'", "string")
		bad("filterArn", `"f"`, invalidInput, "'filterArn'", "regular expression")
		bad("filterArn", quoted(s.campaign), invalidInput, "filterArn", "filter")
		bad("filterArn", quoted(accountARN+"filter/absent"), notFound, "filter/absent")
		bad("filterValues", many(26), invalidInput, "'filterValues'", "less than or equal to 25")
		bad("filterValues", `{"`+x("K", 51)+`":"v"}`, invalidInput, "'filterValues.key'", "less than or equal to 50")
		bad("filterValues", `{"K-":"v"}`, invalidInput, "'filterValues.key'", "regular expression")
		bad("filterValues", `{"K":"`+x("v", 1001)+`"}`, invalidInput, "filterValues.K", "less than or equal to 1000")
		bad("metadataColumns", `{"ITEMS":["A"],"USERS":["B"]}`, invalidInput, "'metadataColumns'", "less than or equal to 1")
		bad("metadataColumns", `{"ITEMS":["`+x("C", 151)+`"]}`, invalidInput, "metadataColumns.ITEMS", "less than or equal to 150")
		bad("metadataColumns", `{"ITEMS":["PRICE"]}`, invalidInput, "metadataColumns", "enableMetadataWithRecommendations")
		bad("metadataColumns", `["PRICE"]`, invalidInput, "'metadataColumns'", "array")
	}

	bad := func(body, code string, mentions ...string) {
		calls = append(calls, refused{"/recommendations", body, code, mentions})
	}
	good := `{"campaignArn":"` + s.campaign + `","userId":"u"}`
	bad(`{}`, invalidInput, "campaignArn", "recommenderArn")
	bad(``, invalidInput, "campaignArn", "recommenderArn")
	bad(with(good, "recommenderArn", quoted(accountARN+"recommender/r")), invalidInput, "campaignArn", "recommenderArn")
	bad(`{"recommenderArn":"`+accountARN+`recommender/r","userId":"u"}`, notFound, "recommender/r")
	bad(`{"recommenderArn":"`+s.campaign+`","userId":"u"}`, invalidInput, "recommenderArn")
	bad(with(good, "userId", `""`), invalidInput, "userId", "required")
	bad(with(good, "itemId", quoted(x("i", 257))), invalidInput, "'itemId'", "less than or equal to 256")
	bad(`{"campaignArn":"`+s.relatedCampaign+`","userId":"u"}`, invalidInput, "itemId", "aws-sims")
	bad(`{"campaignArn":"`+s.rankingCampaign+`","userId":"u"}`, invalidInput, "GetPersonalizedRanking")
	for _, n := range []string{"-1", "501", "2147483648", "9223372036854775807"} {
		bad(with(good, "numResults", n), invalidInput, "numResults")
	}
	for _, n := range []string{"1.5", "1e400", "9223372036854775808"} {
		bad(with(good, "numResults", n), invalidInput, "'numResults'", "number")
	}
	bad(with(good, "numResults", `"10"`), invalidInput, "'numResults'", "string")
	bad(with(good, "numResults", "1"+x("0", 100_000)), invalidInput, "'numResults'", "number")
	bad(with(with(good, "numResults", "51"), "metadataColumns", `{"ITEMS":["PRICE"]}`), invalidInput, "numResults", "50")
	promotion := func(members string) string { return with(good, "promotions", `[{`+members+`}]`) }
	bad(promotion(`"name":"p"`), invalidInput, "filterArn")
	bad(promotion(`"name":"-p","filterArn":"`+accountARN+`filter/f"`), invalidInput, "promotions.1.member.name", "regular expression")
	bad(promotion(`"percentPromotedItems":0,"filterArn":"`+accountARN+`filter/f"`), invalidInput, "percentPromotedItems", "greater than or equal to 1")
	bad(promotion(`"percentPromotedItems":101,"filterArn":"`+accountARN+`filter/f"`), invalidInput, "percentPromotedItems", "less than or equal to 100")
	bad(promotion(`"percentPromotedItems":10,"filterArn":"`+accountARN+`filter/absent"`), notFound, "filter/absent")
	bad(with(good, "promotions", `[{},{}]`), invalidInput, "'promotions'", "less than or equal to 1")

	ranking := `{"campaignArn":"` + s.rankingCampaign + `","userId":"u","inputList":["item-1"]}`
	badList := func(value string, mentions ...string) {
		calls = append(calls, refused{"/personalize-ranking", with(ranking, "inputList", value), invalidInput, mentions})
	}
	badList("", "'inputList'", "must not be null")
	badList("[]", "inputList", "from 1 to 500")
	badList(list(501), "inputList", "from 1 to 500")
	badList(`["`+x("i", 257)+`"]`, "inputList.1.member", "less than or equal to 256")
	badList(`[7]`, "'inputList'", "number")
	badList(`"item-1"`, "'inputList'", "string")
	calls = append(calls, refused{"/personalize-ranking", with(ranking, "campaignArn", quoted(s.campaign)), invalidInput, []string{"GetRecommendations"}})
	s.check(calls)

	s.checkAccepted([]accepted{
		{"/recommendations", good, 0}, {"/recommendations", with(good, "numResults", "0"), 0}, {"/recommendations", with(good, "numResults", "500"), 0},
		{"/recommendations", with(good, "userId", quoted(x("ü", 256))), 0}, {"/recommendations", with(good, "userId", `"nul\u0000 and \ud83d\ude00"`), 0},
		{"/recommendations", with(good, "context", many(150)), 0}, {"/recommendations", with(good, "context", `{"`+x("k", 150)+`":"`+x("v", 1000)+`"}`), 0},
		{"/recommendations", with(good, "unknown", x("[", 100)+x("]", 100)), 0},
		{"/recommendations", `{"campaignArn":"` + s.relatedCampaign + `","itemId":"absent"}`, 0},
		{"/personalize-ranking", with(ranking, "inputList", list(500)), 0}, {"/personalize-ranking", with(ranking, "inputList", `["","`+x("i", 256)+`"]`), 0},
	})
}
