using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>
/// The activations of up to tokensMax tokens in every form that kernel rows ask for. Set once per norm, quantized at most once per form,
/// shared by all matmuls that read them (q, k, v; gate, up).
/// </summary>
internal sealed unsafe class Activations : IDisposable
{
    private readonly NativeBuffer<float> _floats;      // [tokensMax, stride]
    private readonly NativeBuffer<sbyte> _tokenCodes;  // [tokensMax, stride]
    private readonly NativeBuffer<float> _tokenScales; // [tokensMax] multiplier s
    private readonly NativeBuffer<int> _tokenSums;     // [tokensMax]
    private readonly NativeBuffer<sbyte> _blockCodes;  // [tokensMax, stride]
    private readonly NativeBuffer<float> _blockSteps;  // [tokensMax, stride / 32]
    private readonly NativeBuffer<int> _blockSums;     // [tokensMax, stride / 32]
    private bool _hasTokenForm;
    private bool _hasBlockForm;

    public Activations(int tokensMax, int columnsMax)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokensMax, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(columnsMax, 1);
        (TokensMax, ColumnsMax) = (tokensMax, columnsMax);
        long size = (long)tokensMax * StrideOf(columnsMax);
        _floats = new NativeBuffer<float>(size);
        _tokenCodes = new NativeBuffer<sbyte>(size);
        _tokenScales = new NativeBuffer<float>(tokensMax);
        _tokenSums = new NativeBuffer<int>(tokensMax);
        _blockCodes = new NativeBuffer<sbyte>(size);
        _blockSteps = new NativeBuffer<float>(size / ActivationQuantization.BlockColumns);
        _blockSums = new NativeBuffer<int>(size / ActivationQuantization.BlockColumns);
    }

    public int TokensMax { get; }

    public int ColumnsMax { get; }

    /// <summary>Tokens of the current set.</summary>
    public int Tokens { get; private set; }

    /// <summary>Columns of the current set.</summary>
    public int Columns { get; private set; }

    /// <summary>Where the caller writes the floats of the next matmul: [tokens, <see cref="Stride"/>]; call <see cref="Begin"/> first.</summary>
    public float* Floats => _floats.Pointer;

    /// <summary>Floats (and codes) from one token to the next: an odd multiple of 256, so that equal columns of a tile's tokens do not share a cache set.</summary>
    public int Stride { get; private set; }

    /// <summary>Starts a new set of activations: sizes, no form quantized yet. Padding behind each row is zero.</summary>
    public void Begin(int tokens, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokens, TokensMax);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(columns, ColumnsMax);
        (Tokens, Columns, Stride) = (tokens, columns, StrideOf(columns));
        (_hasTokenForm, _hasBlockForm) = (false, false);
        for (int token = 0; token < tokens; token++)
            new Span<float>(Floats + (long)token * Stride + columns, Stride - columns).Clear();
    }

    /// <summary>Points <paramref name="problem"/> at these activations in the form that a row reads, quantizing them if they are not there yet.</summary>
    public void Bind(ActivationForm form, WorkerPool pool, ref MatMulProblem problem)
    {
        (problem.Tokens, problem.Columns) = (Tokens, Columns);
        problem.Floats = Floats;
        problem.FloatStride = Stride;
        problem.CodeStride = Stride;
        problem.BlockStride = form == ActivationForm.Int8PerBlock ? Stride / ActivationQuantization.BlockColumns : 1;
        switch (form)
        {
            case ActivationForm.Int8PerToken:
                problem.Codes = _tokenCodes.Pointer;
                problem.Scales = _tokenScales.Pointer;
                problem.Sums = _tokenSums.Pointer;
                if (!_hasTokenForm)
                    Quantize(pool, ref problem, &QuantizeTokens);
                _hasTokenForm = true;
                break;
            case ActivationForm.Int8PerBlock:
                problem.Codes = _blockCodes.Pointer;
                problem.Scales = _blockSteps.Pointer;
                problem.Sums = _blockSums.Pointer;
                if (!_hasBlockForm)
                    Quantize(pool, ref problem, &QuantizeBlocks);
                _hasBlockForm = true;
                break;
        }
    }

    public void Dispose()
    {
        _floats.Dispose();
        _tokenCodes.Dispose();
        _tokenScales.Dispose();
        _tokenSums.Dispose();
        _blockCodes.Dispose();
        _blockSteps.Dispose();
        _blockSums.Dispose();
    }

    private static int StrideOf(int columns) => ((columns + 255) / 256 | 1) * 256;

    private static void Quantize(WorkerPool pool, ref MatMulProblem problem, delegate*<void*, int, int, int, void> body)
    {
        fixed (MatMulProblem* pinned = &problem)
            pool.Run(body, pinned, problem.Tokens, 1);
    }

    /// <summary>The padding is quantized too: zeros give codes 0.</summary>
    private static void QuantizeTokens(void* state, int start, int end, int worker)
    {
        var problem = (MatMulProblem*)state;
        for (long token = start; token < end; token++)
        {
            float* x = problem->Floats + token * problem->FloatStride;
            sbyte* codes = problem->Codes + token * problem->CodeStride;
            problem->Scales[token] = ActivationQuantization.QuantizeToken(x, problem->CodeStride, codes, out problem->Sums[token]);
        }
    }

    private static void QuantizeBlocks(void* state, int start, int end, int worker)
    {
        var problem = (MatMulProblem*)state;
        for (long token = start; token < end; token++)
        {
            float* x = problem->Floats + token * problem->FloatStride;
            sbyte* codes = problem->Codes + token * problem->CodeStride;
            long blocks = token * problem->BlockStride;
            ActivationQuantization.QuantizeBlocks(x, problem->CodeStride, codes, problem->Scales + blocks, problem->Sums + blocks);
        }
    }
}
