package awsapi

// HashHex lets tests sign requests themselves.
var HashHex = hashHex
