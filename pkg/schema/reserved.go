package schema

// The domains of dataset groups.
const (
	DomainECommerce     = "ECOMMERCE"
	DomainVideoOnDemand = "VIDEO_ON_DEMAND"
)

// reservedField is a column whose name Personalize gives a meaning, and so a type.
type reservedField struct {
	name  string
	kinds []Kind
	// required columns must be in the schema and are never nullable.
	required bool
	// nullable optional columns may be declared with null.
	nullable bool
	// categorical and textual columns must be declared so; plain ones must not be.
	categorical, textual, plain bool
}

var (
	aString  = []Kind{String}
	aLong    = []Kind{Long}
	aFloat   = []Kind{Float}
	anInt    = []Kind{Int, Long}
	aNumeric = []Kind{Int, Long, Float, Double}
)

// typeRules define what the schemas of one dataset type must and may hold.
type typeRules struct {
	reserved                 []reservedField
	minMetadata, maxMetadata int
}

// customRules hold for every dataset group.
var customRules = map[Type]typeRules{
	Interactions: {
		reserved: []reservedField{
			{name: "USER_ID", kinds: aString, required: true, plain: true},
			{name: "ITEM_ID", kinds: aString, required: true, plain: true},
			{name: "TIMESTAMP", kinds: aLong, required: true},
			{name: "EVENT_TYPE", kinds: aString, plain: true},
			{name: "EVENT_VALUE", kinds: aFloat, nullable: true},
			{name: "IMPRESSION", kinds: aString, nullable: true},
			{name: "RECOMMENDATION_ID", kinds: aString, nullable: true},
			{name: "EVENT_ATTRIBUTION_SOURCE", kinds: aString, nullable: true},
		},
		maxMetadata: 5,
	},
	Users: {
		reserved:    []reservedField{{name: "USER_ID", kinds: aString, required: true, plain: true}},
		minMetadata: 1, maxMetadata: 25,
	},
	Items: {
		reserved: []reservedField{
			{name: "ITEM_ID", kinds: aString, required: true, plain: true},
			{name: "CREATION_TIMESTAMP", kinds: aLong},
		},
		minMetadata: 1, maxMetadata: 100,
	},
	Actions: {
		reserved: []reservedField{
			{name: "ACTION_ID", kinds: aString, required: true, plain: true},
			{name: "VALUE", kinds: aNumeric, nullable: true},
			{name: "CREATION_TIMESTAMP", kinds: aLong, nullable: true},
			{name: "ACTION_EXPIRATION_TIMESTAMP", kinds: aLong, nullable: true},
			{name: "REPEAT_FREQUENCY", kinds: anInt, nullable: true},
		},
		minMetadata: 1, maxMetadata: 10,
	},
	ActionInteractions: {
		reserved: []reservedField{
			{name: "USER_ID", kinds: aString, required: true, plain: true},
			{name: "ACTION_ID", kinds: aString, required: true, plain: true},
			{name: "TIMESTAMP", kinds: aLong, required: true},
			{name: "EVENT_TYPE", kinds: aString, required: true, plain: true},
			{name: "RECOMMENDATION_ID", kinds: aString, nullable: true},
			{name: "IMPRESSION", kinds: aString, nullable: true},
		},
		maxMetadata: 5,
	},
}

// domainReserved come on top of customRules in a domain dataset group; an entry of the same name replaces the custom
// one. Unlike custom reserved columns these count as metadata.
var domainReserved = map[string]map[Type][]reservedField{
	DomainECommerce: {
		Interactions: {{name: "EVENT_TYPE", kinds: aString, required: true, plain: true}},
		Items: {
			{name: "PRICE", kinds: aFloat, required: true},
			{name: "CATEGORY_L1", kinds: aString, required: true, categorical: true},
			{name: "CATEGORY_L2", kinds: aString, nullable: true, categorical: true},
			{name: "CATEGORY_L3", kinds: aString, nullable: true, categorical: true},
			{name: "PRODUCT_DESCRIPTION", kinds: aString, nullable: true, textual: true},
			{name: "GENDER", kinds: aString, nullable: true, categorical: true},
			{name: "AGE_GROUP", kinds: aString, nullable: true, categorical: true},
			{name: "ADULT", kinds: aString, nullable: true, categorical: true},
		},
		Users: {},
	},
	DomainVideoOnDemand: {
		Interactions: {{name: "EVENT_TYPE", kinds: aString, required: true, plain: true}},
		Items: {
			{name: "GENRES", kinds: aString, required: true, categorical: true},
			{name: "CREATION_TIMESTAMP", kinds: aLong, required: true},
			{name: "GENRE_L2", kinds: aString, nullable: true, categorical: true},
			{name: "GENRE_L3", kinds: aString, nullable: true, categorical: true},
			{name: "PRICE", kinds: aFloat, nullable: true},
			{name: "DURATION", kinds: aFloat, nullable: true},
			{name: "AVERAGE_RATING", kinds: aFloat, nullable: true},
			{name: "PRODUCT_DESCRIPTION", kinds: aString, nullable: true, textual: true},
			{name: "CONTENT_OWNER", kinds: aString, nullable: true, categorical: true},
			{name: "CONTENT_CLASSIFICATION", kinds: aString, nullable: true, categorical: true},
			{name: "ADULT", kinds: aString, nullable: true, categorical: true},
		},
		Users: {},
	},
}

// reservedOf returns the custom rules of a type joined with those of a domain.
func reservedOf(t Type, domain string) []reservedField {
	extra := domainReserved[domain][t]
	reserved := make([]reservedField, 0, len(customRules[t].reserved)+len(extra))
	for _, r := range customRules[t].reserved {
		if !containsReserved(extra, r.name) {
			reserved = append(reserved, r)
		}
	}
	return append(reserved, extra...)
}

func containsReserved(list []reservedField, name string) bool {
	for i := range list {
		if list[i].name == name {
			return true
		}
	}
	return false
}
