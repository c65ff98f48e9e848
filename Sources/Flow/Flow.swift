// The vocabulary of flows: keys, masks, matches, fields and actions, and their text.
//
// What stands here
// ----------------
// `FlowKey` has everything a rule can match on; `FlowMask` says which of its bits count; `Match` is one of each.
// `Slot` names where a field lies in a key. `MatchField` names the fields as OpenFlow and Nicira do and knows how each
// is laid over the slots (`layout`), what must hold before it means anything (`prerequisite`), whether it may be
// masked or written, and how it is printed. Several fields may share a slot: `tcp_src`, `udp_src` and `icmp_type` are
// one word of the key, `ip_dscp` is six bits of the TOS byte, `arp_op` lives in the IP protocol, as in OVS.
// `Action` is one action or instruction of a rule.
//
// The text is that of ovs-ofctl(8), ovs-fields(7) and ovs-actions(7). Reading goes through four steps:
//
//     bytes -> Text.nextKeyValue -> FlowLine (match, options) + ActionParser (actions as written)
//           -> ActionChecker (prerequisites; what the OpenFlow version makes of them) -> FlowSpec
//
// and printing through the same checker, so that a rule added in one version and shown in another looks as it does
// with OVS. `FlowParser`, `GroupParser` and `MeterParser` read; `FlowPrinter`, `GroupPrinter` and `MeterPrinter` write.
//
// Invariants
// ----------
// - A `Match` has no value bit outside its mask, so two matches are equal if they say the same.
// - What a parser returns has been checked: whoever takes a `FlowSpec` need not look at prerequisites again. Whether a
//   port, group or meter exists is asked of the closures of a `FlowContext`.
// - No text makes a parser trap, recurse more than a hundred deep, or change anything: it gives a value or throws
//   `FlowSyntaxError` with line, column and what was expected.
// - What is printed reads back to an equal value, in the same OpenFlow version.
//
// Threads and cost
// ----------------
// Everything is a value; nothing is shared. Access to a slot is a few instructions and is inlined everywhere. Access
// by `MatchField` is a `switch` and integer work, without allocation: fit for the first packet of a flow, not for
// every packet. Reading a line of a flow file takes some microseconds: it works on the bytes of the file, and makes a
// `String` only for names of ports and for errors. Printing builds strings and is meant for people.
