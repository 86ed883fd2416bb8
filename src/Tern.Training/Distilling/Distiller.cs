using Tern.Machine;
using Tern.Training.Mathematics;

namespace Tern.Training.Distilling;

/// <summary>
/// Brings a teacher into the student's passes: the teacher goes forward on the same micro batch, its logits meet the student's chunk by chunk, and
/// its Q, K, V meet those of one layer on the way back.
/// </summary>
internal sealed unsafe class Distiller : IDisposable
{
    private const int TermsOfRow = 3;

    private readonly Distillation _recipe;
    private readonly Network _teacher;
    private readonly AttentionRelations? _relations;
    private readonly int _teacherLayer;
    private NativeBuffer<float>? _terms; // [rows][TermsOfRow]
    private Totals _totals;
    private long _stepTargets;
    private long _stepTokens;

    /// <param name="recipe">Terms and weights.</param>
    /// <param name="student">The student's shape.</param>
    /// <param name="teacherShape">The teacher's shape.</param>
    /// <param name="teacher">The teacher's network, prepared and forward by the caller.</param>
    /// <param name="pool">Workers.</param>
    /// <exception cref="TernException">The two do not fit together.</exception>
    public Distiller(Distillation recipe, ModelShape student, ModelShape teacherShape, Network teacher, WorkerPool pool)
    {
        (_recipe, _teacher) = (recipe, teacher);
        if (student.Vocabulary != teacherShape.Vocabulary || student.TokenRows != teacherShape.TokenRows)
            throw new TernException(ErrorKind.Request, $"the teacher's vocabulary of {teacherShape.TokenRows} is not the student's of {student.TokenRows}: train both with one tokenizer");
        if (student.Context > teacherShape.Context)
            throw new TernException(ErrorKind.Request, $"the student's context of {student.Context} is longer than the teacher's of {teacherShape.Context}: shorten it");
        if (recipe.AttentionWeight == 0)
            return;

        Layer = LayerOf(student, "student");
        _teacherLayer = LayerOf(teacherShape, "teacher");
        int parts = Parts(recipe, student);
        foreach (int width in (int[])[student.QueryWidth, student.KeyWidth, teacherShape.QueryWidth, teacherShape.KeyWidth])
            if (width % (16 * parts) != 0)
                throw new TernException(ErrorKind.Request, $"queries, keys or values of {width} columns cannot be cut into {parts} parts of whole 16 columns: set relationHeads");
        _relations = new AttentionRelations(student, teacherShape, parts, pool);
    }

    /// <summary>The student's layer whose Q, K, V are compared; -1 for none.</summary>
    public int Layer { get; } = -1;

    /// <summary>Floats that the terms take for a micro batch of <paramref name="rows"/> tokens, the teacher itself not included.</summary>
    public static long FloatsNeeded(Distillation recipe, ModelShape student, ModelShape teacher, int rows, int threads) =>
        (TermsOfRow * (long)rows) + (recipe.AttentionWeight == 0 ? 0 : AttentionRelations.FloatsNeeded(student, teacher, Parts(recipe, student), rows, threads));

    /// <summary>Begins an optimizer step.</summary>
    public void Begin(long targets, long tokens)
    {
        (_totals, _stepTargets, _stepTokens) = (default, Math.Max(1, targets), tokens);
    }

    /// <summary>Turns a chunk of the student's logits into their gradient, and their losses.</summary>
    /// <param name="space">The student's.</param>
    /// <param name="first">First row of the chunk.</param>
    /// <param name="rows">Rows of the chunk.</param>
    /// <param name="pool">Workers.</param>
    public void Logits(Workspace space, int first, int rows, WorkerPool pool)
    {
        if (_terms is null || _terms.Count < (long)TermsOfRow * space.RowsMax)
        {
            _terms?.Dispose();
            _terms = new NativeBuffer<float>((long)TermsOfRow * space.RowsMax);
        }

        new LogitTerms
        {
            Student = space.Logits,
            Teacher = _teacher.LogitsOfChunk(first, rows),
            Targets = space.Targets + first,
            Losses = space.Losses + first,
            Terms = _terms.Pointer,
            CrossEntropyWeight = _recipe.CrossEntropyWeight / _stepTargets,
            TeacherWeight = _recipe.LogitWeight * _recipe.Temperature / _stepTargets,
            Temperature = _recipe.Temperature,
        }.Run(pool, rows);
        for (int row = 0; row < rows; row++)
        {
            _totals.CrossEntropy += space.Losses[first + row];
            _totals.LogitDivergence += _terms.Pointer[TermsOfRow * row];
            _totals.CrossSquares += _terms.Pointer[(TermsOfRow * row) + 1];
            _totals.LogitSquares += _terms.Pointer[(TermsOfRow * row) + 2];
        }
    }

    /// <summary>Adds the relation term to the gradient of the compared layer's Q, K, V.</summary>
    public void Relations(LayerSpace layer, Panels gradient, float* multipliers, float* inverses, int sequences, int length)
    {
        RelationReport report = _relations!.Add(layer.QueryKeyValue, _teacher.Space.Layers[_teacherLayer].QueryKeyValue, gradient, multipliers, inverses, sequences, length, _stepTokens, _recipe);
        _totals.AttentionDivergence += report.Divergence;
        _totals.OtherSquares += report.OtherNorm * report.OtherNorm;
        _totals.AttentionSquares += report.TermNorm * report.TermNorm;
        _totals.Factor = report.Factor;
    }

    /// <summary>What the step's terms were.</summary>
    public DistillationReport Report() => new(_totals.CrossEntropy / _stepTargets, _totals.LogitDivergence / _stepTargets, _totals.AttentionDivergence)
    {
        CrossEntropyGradientNorm = Math.Sqrt(Math.Max(0, _totals.CrossSquares)),
        LogitGradientNorm = Math.Sqrt(_totals.LogitSquares),
        OtherGradientNorm = Math.Sqrt(_totals.OtherSquares),
        AttentionGradientNorm = Math.Sqrt(_totals.AttentionSquares),
        AttentionFactor = _totals.Factor,
    };

    public void Dispose()
    {
        _relations?.Dispose();
        _terms?.Dispose();
    }

    private static int Parts(Distillation recipe, ModelShape student) => recipe.RelationHeads > 0 ? recipe.RelationHeads : student.KvHeads;

    private int LayerOf(ModelShape shape, string who)
    {
        int layer = _recipe.AttentionLayer < 0 ? shape.Layers + _recipe.AttentionLayer : _recipe.AttentionLayer;
        return layer >= 0 && layer < shape.Layers
            ? layer
            : throw new TernException(ErrorKind.Request, $"attentionLayer {_recipe.AttentionLayer} is none of the {who}'s {shape.Layers} layers");
    }

    private struct Totals
    {
        public double CrossEntropy, LogitDivergence, AttentionDivergence, CrossSquares, LogitSquares, OtherSquares, AttentionSquares, Factor;
    }
}
