package awsapi

// HashHex lets tests sign requests themselves.
var HashHex = hashHex

// MaxHeldBodies is how much memory large bodies may take together.
const MaxHeldBodies = maxHeldBodies
