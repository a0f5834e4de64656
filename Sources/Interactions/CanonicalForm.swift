extension Dataset {
  /// Feeds the data set to `receive` in a form that is the same wherever and however it was read: every text and list
  /// with its length before it, integers little-endian. What a content hash is taken of.
  public func writeCanonical(_ receive: (UnsafeRawBufferPointer) -> Void) {
    func integer(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { receive($0) } }
    func text(_ value: String) {
      let bytes = Array(value.utf8)
      integer(UInt64(bytes.count))
      bytes.withUnsafeBytes { receive($0) }
    }
    func list<Element: FixedWidthInteger>(_ values: [Element]) {
      integer(UInt64(values.count))
      values.map(\.littleEndian).withUnsafeBytes { receive($0) }
    }
    integer(UInt64(userIDs.count))
    userIDs.forEach(text)
    integer(UInt64(catalogue.count))
    for item in 0..<catalogue.count {
      text(catalogue.ids[item])
      text(catalogue.titles[item])
      text(catalogue.descriptions[item])
      integer(UInt64(catalogue.categories[item].count))
      catalogue.categories[item].forEach(text)
    }
    list(interactions.users)
    list(interactions.items)
    list((interactions.ratings ?? []).map(\.bitPattern))
    list(interactions.timestamps ?? [])
    list((givenParts ?? []).map(\.rawValue))
  }
}
