/// What becomes of a SenML pack (RFC 8428) that is posted.
package enum SenMLRule: String, Sendable, Hashable, CaseIterable {
    /// One message, as it came.
    case keep
    /// A message for each record, on the topic of its name: a pack of that record alone, resolved, in JSON.
    case records
    /// A message for each record, on the topic of its name: its value alone, as text.
    case values
}
