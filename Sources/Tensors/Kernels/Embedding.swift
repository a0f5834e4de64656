/// Rows gathered from a table, and their gradients scattered back.
public enum Embedding {
  /// out[i] = table[ids[i]].
  ///
  /// - Precondition: every id is a row of the table. Callers check ids that come from outside.
  public static func forward(table: Matrix, ids: [Int32], into out: UnsafeMutablePointer<Float>) {
    for (position, id) in ids.enumerated() {
      (out + position * table.columns).update(from: table.row(Int(id)), count: table.columns)
    }
  }

  /// dtable[ids[i]] += dout[i], in order of i.
  public static func backward(dout: UnsafePointer<Float>, ids: [Int32], into dtable: Matrix) {
    for (position, id) in ids.enumerated() {
      Accumulate.add(dtable.columns, dout + position * dtable.columns, to: dtable.row(Int(id)))
    }
  }
}
