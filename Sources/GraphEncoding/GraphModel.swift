package import Tensors

/// A graph encoder in training: parameters, a step on a batch, and the vectors that come out.
package protocol GraphModel: AnyObject {
  /// What is learned, with Adam's moments.
  var parameters: ParameterGroup { get set }

  /// One step of the optimiser on some triples of an epoch.
  ///
  /// - Parameter step: steps before this one, the index of its random numbers.
  /// - Returns: the mean loss of a triple; not finite where the training has diverged.
  func trainStep(_ triples: ArraySlice<Triple>, step: Int) -> Float

  /// The vectors of the parameters as they stand.
  func embeddings() -> GraphEmbeddings

  /// Called when parameters were changed from outside.
  func parametersDidChange()

  /// A parameter, or a moment of one, as checkpoints hold it: rows of nodes are users and items in the given order,
  /// whatever order the model has.
  func saved(_ parameter: Matrix, name: String) -> Matrix

  /// What `saved` was given, from what it returned.
  func loaded(_ matrix: Matrix, name: String) -> Matrix
}

extension GraphModel {
  package func saved(_ parameter: Matrix, name: String) -> Matrix { parameter }
  package func loaded(_ matrix: Matrix, name: String) -> Matrix { matrix }
}
