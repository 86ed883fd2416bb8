namespace Tern.Kernels;

/// <summary>
/// The activations of up to tokensMax tokens in every form that kernel rows ask for. Set once per norm, quantized at most once per form,
/// shared by all matmuls that read them (q, k, v; gate, up).
/// </summary>
internal sealed unsafe class Activations : IDisposable
{
    public Activations(int tokensMax, int columnsMax) => (TokensMax, ColumnsMax) = (tokensMax, columnsMax);

    public int TokensMax { get; }

    public int ColumnsMax { get; }

    /// <summary>Where the caller writes the floats of the next matmul: [tokens, <see cref="Stride"/>]; call <see cref="Begin"/> first.</summary>
    public float* Floats => throw new NotSupportedException();

    /// <summary>Floats from one token to the next.</summary>
    public int Stride => throw new NotSupportedException();

    /// <summary>Starts a new set of activations: sizes, no form quantized yet. Padding behind each row is zero.</summary>
    public void Begin(int tokens, int columns) => throw new NotSupportedException($"{tokens} {columns}");

    public void Dispose()
    {
    }
}
