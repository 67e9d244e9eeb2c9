package filtertest

import "strings"

// Invalid is an expression that Compile refuses.
type Invalid struct {
	Expression string
	// At is the piece of the expression where the error stands; its first occurrence counts, and empty means the end.
	At string
	// Words must stand in the message.
	Words []string
}

// Offset is where the error stands, in bytes.
func (i Invalid) Offset() int {
	if i.At == "" {
		return len(i.Expression)
	}
	return strings.Index(i.Expression, i.At)
}

func says(words ...string) []string { return words }

// InvalidExpressions must be refused whatever data there is.
var InvalidExpressions = []Invalid{
	{``, "", says("end of the expression", "INCLUDE or EXCLUDE")},
	{`   `, "", says("end of the expression", "INCLUDE or EXCLUDE")},
	{`ItemID WHERE Items.GENRES IN ("a")`, "ItemID", says(`"ItemID"`, "INCLUDE or EXCLUDE")},
	{`SELECT ItemID WHERE Items.GENRES IN ("a")`, "SELECT", says(`"SELECT"`, "INCLUDE or EXCLUDE")},
	{`INCLUDE`, "", says("end of the expression", "ItemID, UserID or ActionID")},
	{`INCLUDE Items WHERE Items.GENRES IN ("a")`, "Items WHERE", says(`"Items"`, "ItemID, UserID or ActionID")},
	{`INCLUDE WHERE Items.GENRES IN ("a")`, "WHERE", says(`"WHERE"`, "ItemID")},
	{`INCLUDE "ItemID" WHERE Items.GENRES IN ("a")`, `"ItemID"`, says("ItemID, UserID or ActionID")},
	{`INCLUDE ItemID`, "", says("end of the expression", "WHERE")},
	{`INCLUDE ItemID Items.GENRES IN ("a")`, "Items.", says(`"Items"`, "WHERE")},
	{`INCLUDE ItemID IF CurrentUser.AGE > 1`, "IF", says(`"IF"`, "WHERE")},
	{`INCLUDE ItemID WHERE`, "", says("end of the expression", "a column of Items or Interactions.EVENT_TYPE")},
	{`INCLUDE ItemID WHERE GENRES IN ("a")`, "GENRES", says(`"GENRES"`, "a column of Items")},
	{`INCLUDE ItemID WHERE "Items".GENRES IN ("a")`, `"Items"`, says("a column of Items")},
	{`INCLUDE ItemID WHERE Items IN ("a")`, "IN (", says(`"IN"`, "a column of Items")},
	{`INCLUDE ItemID WHERE Items. IN ("a")`, "IN (", says(`no column "IN"`, "GENRES")},
	{`INCLUDE ItemID WHERE Items.(GENRES) IN ("a")`, "(GENRES", says(`"("`, "a column of Items")},
	{`INCLUDE ItemID WHERE Items.GENRES`, "", says("end of the expression", "IN, NOT IN, =")},
	{`INCLUDE ItemID WHERE Items.NOPE IN ("x")`, "NOPE", says(`no column "NOPE"`, "GENRES", "PRICE")},
	{`INCLUDE ItemID WHERE Items.GENRE IN ("x")`, "GENRE IN", says(`no column "GENRE"`, "GENRES")},
	{`INCLUDE ItemID WHERE Things.GENRES IN ("x")`, "Things", says(`"Things"`, "a column of Items")},
	{`INCLUDE ItemID WHERE Items.DESCRIPTION IN ("x")`, "DESCRIPTION", says("textual", "GENRES")},
	{`INCLUDE ItemID WHERE Items.ADULT = "true"`, "ADULT", says("boolean", "GENRES")},
	{`INCLUDE ItemID WHERE Interactions.DEVICE IN ("phone")`, "DEVICE", says("EVENT_TYPE")},
	{`INCLUDE ItemID WHERE Interactions.TIMESTAMP > 5`, "TIMESTAMP", says("EVENT_TYPE")},
	{`INCLUDE ItemID WHERE Interactions.NOPE IN ("x")`, "NOPE", says("EVENT_TYPE")},
	{`INCLUDE ItemID WHERE Users.AGE > 5`, "Users", says(`"Users"`, "a filter of ItemID", "Items")},
	{`INCLUDE UserID WHERE Items.GENRES IN ("x")`, "Items", says(`"Items"`, "a filter of UserID", "Users")},
	{`INCLUDE ItemID WHERE Actions.VALUE > 5`, "Actions", says(`"Actions"`, "a filter of ItemID")},
	{`INCLUDE ActionID WHERE Items.PRICE > 5`, "Items", says(`"Items"`, "a filter of ActionID", "Actions")},
	{`INCLUDE ActionID WHERE Interactions.EVENT_TYPE IN ("click")`, "Interactions", says("Action_Interactions.EVENT_TYPE")},
	{`INCLUDE ItemID WHERE Action_Interactions.EVENT_TYPE IN ("TAKEN")`, "Action_Interactions", says("Interactions.EVENT_TYPE")},
	{`INCLUDE ActionID WHERE Action_Interactions.TIMESTAMP > 5`, "TIMESTAMP", says("EVENT_TYPE")},
	{`INCLUDE ItemID WHERE CurrentUser.AGE > 5`, "CurrentUser", says("after IF")},
	{`INCLUDE ItemID WHERE CurrentItem.PRICE > 5`, "CurrentItem", says("right of an operator")},
	{`INCLUDE ItemID WHERE Items.GENRES IN "a"`, `"a"`, says("a list in parentheses")},
	{`INCLUDE ItemID WHERE Items.GENRES IN $a`, `$a`, says("a list in parentheses")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ()`, ")", says(`")"`, "a string in quotes or a parameter")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a",)`, ")", says(`")"`, "a string in quotes or a parameter")},
	{`INCLUDE ItemID WHERE Items.GENRES IN (,"a")`, ",", says(`","`, "a string in quotes or a parameter")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a" "b")`, `"b"`, says("a comma or )")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a"`, "", says("end of the expression", "a comma or )")},
	{`INCLUDE ItemID WHERE Items.GENRES IN (`, "", says("end of the expression", "a string in quotes or a parameter")},
	{`INCLUDE ItemID WHERE Items.GENRES IN (("a"))`, `("a"`, says(`"("`, "a string in quotes or a parameter")},
	{`INCLUDE ItemID WHERE Items.GENRES IN (Comedy)`, "Comedy", says(`"Comedy"`, "a string in quotes or a parameter")},
	{`INCLUDE ItemID WHERE Items.GENRES IN (1)`, "1", says("the number 1", "not numeric", "string in quotes")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("*")`, `"*"`, says("every event type")},
	{`INCLUDE ItemID WHERE Items.STOCK = "*"`, `"*"`, says("every event type")},
	{`INCLUDE ItemID WHERE Items.GENRES IN (*)`, `*`, says("every event type")},
	{`INCLUDE ItemID WHERE Items.PRICE > *`, `*`, says("numeric")},
	{`INCLUDE ItemID WHERE Items.GENRES LIKE "a"`, "LIKE", says(`"LIKE"`, "IN, NOT IN, =")},
	{`INCLUDE ItemID WHERE Items.PRICE BETWEEN 1 AND 2`, "BETWEEN", says(`"BETWEEN"`, "IN, NOT IN, =")},
	{`INCLUDE ItemID WHERE Items.GENRES NOT ("a")`, "(", says("IN after NOT")},
	{`INCLUDE ItemID WHERE NOT Items.GENRES IN ("a")`, "NOT", says(`"NOT"`, "a column of Items")},
	{`INCLUDE ItemID WHERE Items.GENRES > "a"`, ">", says("not numeric", "IN, NOT IN, = and !=")},
	{`INCLUDE ItemID WHERE Items.GENRES <= $G`, "<=", says("not numeric")},
	{`INCLUDE ItemID WHERE Interactions.EVENT_TYPE >= "a"`, ">=", says("not numeric")},
	{`INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (3)`, "3", says("the number 3", "not numeric")},
	{`INCLUDE ItemID WHERE Items.PRICE > "ten"`, `"ten"`, says("numeric", "not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE > ""`, `""`, says("numeric", "not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE > ten`, `ten`, says(`"ten"`, "a number or a parameter")},
	{`INCLUDE ItemID WHERE Items.PRICE >`, ``, says("end of the expression", "a number or a parameter")},
	{`INCLUDE ItemID WHERE Items.PRICE > 1x`, `1x`, says("not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE > 0x10`, `0x10`, says("not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE > 1.2.3`, `1.2.3`, says("not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE > -`, `-`, says("not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE > 1e400`, `1e400`, says("out of the range")},
	{`INCLUDE ItemID WHERE Items.PRICE > NaN`, `NaN`, says(`"NaN"`, "a number or a parameter")},
	{`INCLUDE ItemID WHERE Items.PRICE IN (1, "b")`, `"b"`, says("numeric", "not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE => 1`, `> 1`, says(`">"`, "a number or a parameter")},
	{`INCLUDE ItemID WHERE Items.PRICE == 1`, `= 1`, says(`"="`, "a number or a parameter")},
	{`INCLUDE ItemID WHERE Items.PRICE <> 1`, `> 1`, says(`">"`, "a number or a parameter")},
	{`INCLUDE ItemID WHERE Items.PRICE ! 1`, `!`, says(`"!"`)},
	{`INCLUDE ItemID WHERE Items.PRICE > (1)`, `1)`, says("parameter", "parentheses")},
	{`INCLUDE ItemID WHERE Items.PRICE > ($P`, ``, says("end of the expression", ")")},
	{`INCLUDE ItemID WHERE Items.PRICE > ($P, $Q)`, `, $Q`, says(`","`, ")")},
	{`INCLUDE ItemID WHERE Items.PRICE > 1 + 2`, `+`, says("not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE * 2 > 1`, `*`, says(`"*"`, "IN, NOT IN, =")},
	{`INCLUDE ItemID WHERE Items.PRICE > Items.YEAR`, `Items.YEAR`, says(`"Items"`, "a number or a parameter")},
	{`INCLUDE ItemID WHERE Items.PRICE > $`, `$`, says("$ without a name")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a)`, `"a)`, says("no closing")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ('a")`, `'a"`, says("no closing '")},
	{`INCLUDE ItemID WHERE Items.GENRES IN (“a”)`, `“`, says("“", `strings stand in "`)},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a");`, `;`, says(`";"`)},
	{`(INCLUDE ItemID WHERE Items.GENRES IN ("a"))`, `(`, says(`"("`, "INCLUDE or EXCLUDE")},
	{`INCLUDE ItemID WHERE (Items.GENRES IN ("a"))`, `(Items`, says("parentheses")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") AND (Items.PRICE > 1 OR Items.PRICE < 0)`, `(Items.PRICE`, says("parentheses")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("A") AND Interactions.EVENT_TYPE IN ("click")`, `Interactions`, says("Interactions behind one on Items", "|")},
	{`INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click") OR Items.GENRES IN ("A")`, `Items`, says("Items behind one on Interactions", "|")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") AND`, ``, says("end of the expression", "a column of Items")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") OR OR Items.PRICE > 1`, `OR Items`, says(`"OR"`, "a column of Items")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") Items.PRICE > 1`, `Items.PRICE`, says(`"Items"`, "AND, OR, IF, |")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") ORDER BY Items.PRICE`, `ORDER`, says(`"ORDER"`, "AND, OR, IF, |")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") INCLUDE ItemID WHERE Items.PRICE > 1`, `INCLUDE ItemID WHERE Items.PRICE`, says(`"INCLUDE"`, "|")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") |`, ``, says("end of the expression", "INCLUDE or EXCLUDE")},
	{`| INCLUDE ItemID WHERE Items.GENRES IN ("a")`, `|`, says(`"|"`, "INCLUDE or EXCLUDE")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") || EXCLUDE ItemID WHERE Items.PRICE > 1`, `| EXCLUDE`, says(`"|"`, "INCLUDE or EXCLUDE")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") | EXCLUDE UserID WHERE Users.AGE > 1`, `UserID`, says(`"UserID"`, "same target", "ItemID")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF`, ``, says("end of the expression", "CurrentUser")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF Items.PRICE > 1`, `Items.PRICE`, says(`"Items"`, "CurrentUser")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF Users.AGE > 1`, `Users`, says(`"Users"`, "CurrentUser")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.NOPE > 1`, `NOPE`, says(`no column "NOPE"`, "AGE")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.PREMIUM = "true"`, `PREMIUM`, says("boolean")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.AGE > 1 OR CurrentUser.AGE < 0`, `OR`, says("only be joined with AND")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.AGE > 1 IF CurrentUser.AGE < 9`, `IF CurrentUser.AGE <`, says(`"IF"`, "AND, |")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.AGE > 1 AND Items.PRICE > 1`, `Items.PRICE`, says("CurrentUser")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.MEMBER > "a"`, `>`, says("not numeric")},
	{`INCLUDE ItemID IF CurrentUser.AGE > 1 WHERE Items.GENRES IN ("a")`, `IF`, says("WHERE")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.AGE > CurrentItem.YEAR`, `CurrentItem`, says("only a column of Items")},
	{`INCLUDE UserID WHERE Users.AGE > 1 IF CurrentUser.AGE > 1`, `IF`, says("no current user")},
	{`INCLUDE ItemID WHERE Items.GENRES IN CurrentItem.PRICE`, `CurrentItem`, says("numeric")},
	{`INCLUDE ItemID WHERE Items.PRICE = CurrentItem.GENRES`, `CurrentItem`, says("numeric")},
	{`INCLUDE ItemID WHERE Items.GENRES IN CurrentItem.DESCRIPTION`, `DESCRIPTION`, says("textual")},
	{`INCLUDE ItemID WHERE Items.GENRES IN CurrentItem`, ``, says("a column of CurrentItem")},
	{`INCLUDE ItemID WHERE Items.GENRES IN (CurrentItem.GENRES)`, `CurrentItem`, says("a string in quotes or a parameter")},
	{`INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN CurrentItem.GENRES`, `CurrentItem`, says("only a column of Items")},
	{`INCLUDE UserID WHERE Users.AGE > CurrentItem.YEAR`, `CurrentItem`, says("only a column of Items")},
	{`INCLUDE ActionID WHERE Actions.VALUE > CurrentItem.PRICE`, `CurrentItem`, says("only a column of Items")},
	{`INCLUDE ItemID WHERE Items.GENRES IN CurrentUser.COUNTRIES`, `CurrentUser`, says("a list in parentheses")},
	{`INCLUDE ItemID WHERE Items.PRICE > 1 AND Items.YEAR > 1 AND Items.STOCK = "a" AND Items.SERIAL > 1 AND Items.RATING > 1 AND Items.GENRES = "a"`, `GENRES`, says("ITEMS.GENRES", "at most 5")},
	{`INCLUDE ItemID WHERE Items.PRICE > 1 AND Items.YEAR > 1 AND Items.STOCK = "a" | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("a") IF CurrentUser.AGE > 1 AND CurrentUser.MEMBER = "a"`, `MEMBER`, says("USERS.MEMBER", "at most 5")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("` + strings.Repeat("x", 2500) + `")`, strings.Repeat("x", 39) + `")`, says("2541 characters", "at most 2500")},
}

// InvalidValue is a request that Bind refuses.
type InvalidValue struct {
	Expression string
	Values     map[string]string
	// Parameter is the one that the error names.
	Parameter string
	Words     []string
}

// InvalidValues must be refused whatever data there is.
var InvalidValues = []InvalidValue{
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, nil, "G", says("needs a value", "INCLUDE")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G) AND Items.PRICE < $P`, map[string]string{"G": `"a"`}, "P", says("needs a value")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.AGE > $AGE`, nil, "AGE", says("needs a value")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G) | EXCLUDE ItemID WHERE Items.STOCK IN ($G)`, nil, "G", says("needs a value")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": `"a"`, "H": `"b"`}, "H", says("no such parameter", "$G")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"g": `"a"`}, "g", says("no such parameter", "$G")},
	{`EXCLUDE ItemID WHERE Items.GENRES IN ("a")`, map[string]string{"G": `"a"`}, "G", says("no such parameter", "it has none")},
	{`INCLUDE ItemID WHERE Items.PRICE < $P`, map[string]string{"P": `"ten"`}, "P", says(`"ten"`, "numeric", "not a number")},
	{`INCLUDE ItemID WHERE Items.PRICE < $P`, map[string]string{"P": `ten`}, "P", says(`"ten"`, "numeric")},
	{`INCLUDE ItemID WHERE Items.PRICE < $P`, map[string]string{"P": `1,2`}, "P", says("2 values", "takes one")},
	{`INCLUDE ItemID WHERE Items.STOCK = $S`, map[string]string{"S": `"a","b"`}, "S", says("2 values", "takes one")},
	{`INCLUDE ItemID WHERE Items.PRICE IN ($P)`, map[string]string{"P": `1,x`}, "P", says(`"x"`, "numeric")},
	{`INCLUDE ItemID WHERE Items.PRICE < $P`, map[string]string{"P": `1e999`}, "P", says("out of the range")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": ``}, "G", says("end of the value")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": ` `}, "G", says("end of the value")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": `"a",`}, "G", says("end of the value")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": `,"a"`}, "G", says("found a comma")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": `"a",,"b"`}, "G", says("found a comma")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": `"a`}, "G", says("no closing")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": `"a" "b"`}, "G", says("behind a string", "comma")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": `a"b`}, "G", says("a quote within")},
	{`INCLUDE ItemID WHERE Items.GENRES IN ($G)`, map[string]string{"G": `"*"`}, "G", says("every event type")},
	{`EXCLUDE ItemID WHERE Items.GENRES IN ($G) AND Items.PRICE < $P`, map[string]string{"G": `"`}, "G", says("no closing")},
}
