using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Tern.Machine;
using Tern.Training.Mathematics;

namespace Tern.Training.Distilling;

/// <summary>
/// The attention relation term of BitDistill on one layer. Q, K and V are each cut into the same number of parts; within a part the products of
/// the vectors of all positions say how positions relate. Student and teacher relate T positions both, so their widths may differ.
/// <code>
///   cosine:  R = â âᵀ, â = a / |a|        dot:  R = a aᵀ / sqrt(width of a)
///   P = softmax rows R                    loss = 1 / (3 · parts · positions) Σ KL(P teacher || P student)
///   dR = P - P teacher,  dâ = dR â + dRᵀ â,  da = (dâ - â (â · dâ)) / |a|   or   dâ / sqrt(width of a), with a for â
/// </code>
/// As in BitDistill, one layer is compared, each of Q, K and V by itself, over all pairs of positions, future ones and those without a target too.
/// It differs in two ways: Q and K are taken before their rotation, so that positions relate by what they hold and not by how far they are apart;
/// and the term is the mean over Q, K, V and parts, where BitDistill's code adds Q, K and V up and divides the mean over parts by the parts once
/// more, so that its factor γ is 3 γ / parts here.
/// </summary>
internal sealed unsafe class AttentionRelations : IDisposable
{
    private const int Matrices = 3;

    private readonly WorkerPool _pool;
    private readonly ModelShape _student;
    private readonly ModelShape _teacher;
    private readonly int _parts;
    private readonly int _lengthMax;
    private readonly int _widthMax;
    private readonly NativeBuffer<float> _scratch;
    private readonly long _workerFloats;
    private NativeBuffer<float>? _memory; // [rows][student's q | k | v] in panels, then [rows][2] sums of squares
    private double[] _divergences = [];
    private GCHandle _self;
    private Run _run;

    public AttentionRelations(ModelShape student, ModelShape teacher, int parts, WorkerPool pool)
    {
        (_student, _teacher, _parts, _pool) = (student, teacher, parts, pool);
        (_lengthMax, _widthMax) = Largest(student, teacher, parts);
        _workerFloats = WorkerFloats(_lengthMax, _widthMax);
        _scratch = new NativeBuffer<float>(pool.Threads * _workerFloats);
        _self = GCHandle.Alloc(this);
    }

    /// <summary>Floats that the term takes for a micro batch of <paramref name="rows"/> tokens.</summary>
    public static long FloatsNeeded(ModelShape student, ModelShape teacher, int parts, int rows, int threads)
    {
        (int length, int width) = Largest(student, teacher, parts);
        return (threads * WorkerFloats(length, width)) + ((long)Panels.Padded(rows) * (student.QueryWidth + (2 * student.KeyWidth) + 2));
    }

    /// <summary>Adds the term's gradient to that of the student's Q, K, V.</summary>
    /// <param name="student">Q, K, V of the compared layer.</param>
    /// <param name="teacher">The teacher's.</param>
    /// <param name="gradient">What the rest of the loss gave, times <paramref name="inverses"/>; gets the term's added, times the same.</param>
    /// <param name="multipliers">[rows] or null.</param>
    /// <param name="inverses">[rows] or null.</param>
    /// <param name="sequences">Sequences.</param>
    /// <param name="length">Tokens of each.</param>
    /// <param name="stepTokens">Tokens of the whole optimizer step.</param>
    /// <param name="distillation">Weight, and whether it is a ratio of gradient norms.</param>
    public RelationReport Add(Panels student, Panels teacher, Panels gradient, float* multipliers, float* inverses, int sequences, int length, long stepTokens, Distillation distillation)
    {
        int rows = sequences * length, units = sequences * Matrices * _parts;
        Reserve(student, units);
        _run = new Run
        {
            Student = student,
            Teacher = teacher,
            Term = new Panels((nint)_memory!.Pointer, student.Stride, student.Width),
            Gradient = gradient,
            Squares = _memory.Pointer + ((long)student.Stride * student.Width),
            Multipliers = multipliers,
            Inverses = inverses,
            Length = length,
            Relation = distillation.AttentionRelation,
            Weight = 1f / (Matrices * _parts * stepTokens),
        };
        var self = (void*)GCHandle.ToIntPtr(_self);
        _pool.Run(&UnitBody, self, units, 1);
        _pool.Run(&NormBody, self, rows, 16);
        double divergence = 0, other = 0, term = 0;
        for (int unit = 0; unit < units; unit++)
            divergence += _divergences[unit];
        for (int row = 0; row < rows; row++)
        {
            other += _run.Squares[2 * row];
            term += _run.Squares[(2 * row) + 1];
        }

        (other, term) = (Math.Sqrt(other), Math.Sqrt(term));
        double factor = !distillation.BalanceGradients ? distillation.AttentionWeight
            : term > 0 ? distillation.AttentionWeight * other / term
            : 0;
        _run.Factor = (float)factor;
        _pool.Run(&AddBody, self, rows, 16);
        return new RelationReport(divergence * _run.Weight, other, term * factor, factor);
    }

    public void Dispose()
    {
        _scratch.Dispose();
        _memory?.Dispose();
        if (_self.IsAllocated)
            _self.Free();
    }

    private static (int Length, int Width) Largest(ModelShape student, ModelShape teacher, int parts) =>
        (Padded(student.Context), Padded(Math.Max(student.QueryWidth, teacher.QueryWidth) / parts));

    private static long WorkerFloats(int length, int width) => (2 * RelationUnit.Floats(length, width)) + (((long)length + RelationUnit.BlockRows + 1) * width);

    private static int Padded(int count) => (count + Panels.Columns - 1) / Panels.Columns * Panels.Columns;

    private void Reserve(Panels student, int units)
    {
        if (_divergences.Length < units)
            _divergences = new double[units];
        long floats = ((long)student.Stride * student.Width) + (2L * student.Stride);
        if (_memory is not null && _memory.Count >= floats)
            return;
        _memory?.Dispose();
        _memory = new NativeBuffer<float>(floats);
    }

    private static void UnitBody(void* state, int start, int end, int worker)
    {
        var self = (AttentionRelations)GCHandle.FromIntPtr((nint)state).Target!;
        for (int unit = start; unit < end; unit++)
            self._divergences[unit] = self.Unit(unit, self._scratch.Pointer + (worker * self._workerFloats));
    }

    private double Unit(int unit, float* memory)
    {
        (int sequence, int rest) = Math.DivRem(unit, Matrices * _parts);
        (int matrix, int part) = Math.DivRem(rest, _parts);
        int length = _run.Length, padded = Padded(length), firstRow = sequence * length;
        (int column, int count) = Place(_student, matrix, part);
        (int teacherColumn, int teacherCount) = Place(_teacher, matrix, part);
        int width = Padded(count);
        long unitFloats = RelationUnit.Floats(_lengthMax, _widthMax);
        var student = new RelationUnit(memory, _lengthMax, _widthMax, padded, width);
        var teacher = new RelationUnit(memory + unitFloats, _lengthMax, _widthMax, padded, Padded(teacherCount));
        float* gradient = memory + (2 * unitFloats); // [padded][width]
        var product = new Panels((nint)(gradient + ((nint)padded * width)), RelationUnit.BlockRows, width);
        float* row = (float*)product.Data + ((nint)RelationUnit.BlockRows * width);
        student.Load(_run.Student, firstRow, length, column, count, _run.Relation, row);
        teacher.Load(_run.Teacher, firstRow, length, teacherColumn, teacherCount, _run.Relation, row);
        new Span<float>(gradient, padded * width).Clear();
        double divergence = 0;
        for (int first = 0; first < length; first += RelationUnit.BlockRows)
        {
            int rows = Math.Min(RelationUnit.BlockRows, length - first);
            student.Relate(first, rows);
            teacher.Relate(first, rows);
            for (int i = 0; i < rows; i++)
                divergence += Difference(student.Relations, teacher.Relations, i, length);
            AddProducts(student, product, gradient, first, rows, padded, width);
        }

        for (int t = 0; t < length; t++)
            Store(student, gradient + ((nint)t * width), t, padded, firstRow, column, count, row);
        return divergence;
    }

    /// <summary>First column and width of a part of Q, K or V.</summary>
    private (int Column, int Count) Place(ModelShape shape, int matrix, int part)
    {
        int width = (matrix == 0 ? shape.QueryWidth : shape.KeyWidth) / _parts;
        int start = matrix == 0 ? 0 : shape.QueryWidth + ((matrix - 1) * shape.KeyWidth);
        return (start + (part * width), width);
    }

    /// <summary>KL of one row of relations, which becomes the gradient P student - P teacher.</summary>
    private static double Difference(Panels student, Panels teacher, int row, int length)
    {
        double sumStudent = 0, sumTeacher = 0, cross = 0;
        nint at = (nint)row * Panels.Columns;
        float maxStudent = float.NegativeInfinity, maxTeacher = float.NegativeInfinity;
        for (int t = 0; t < length; t++)
        {
            nint place = at + (t % Panels.Columns);
            maxStudent = MathF.Max(maxStudent, student.Panel(t / Panels.Columns)[place]);
            maxTeacher = MathF.Max(maxTeacher, teacher.Panel(t / Panels.Columns)[place]);
        }

        for (int t = 0; t < length; t++)
        {
            float* s = student.Panel(t / Panels.Columns) + at + (t % Panels.Columns), q = teacher.Panel(t / Panels.Columns) + at + (t % Panels.Columns);
            float ofStudent = *s - maxStudent, ofTeacher = *q - maxTeacher;
            (*s, *q) = (MathF.Exp(ofStudent), MathF.Exp(ofTeacher));
            sumStudent += *s;
            sumTeacher += *q;
            cross += *q * (ofTeacher - ofStudent);
        }

        float factorStudent = (float)(1 / sumStudent), factorTeacher = (float)(1 / sumTeacher);
        for (int t = 0; t < student.Width; t++)
        {
            float* s = student.Panel(t / Panels.Columns) + at + (t % Panels.Columns);
            *s = t < length ? (*s * factorStudent) - (teacher.Panel(t / Panels.Columns)[at + (t % Panels.Columns)] * factorTeacher) : 0;
        }

        return (cross / sumTeacher) - Math.Log(sumTeacher) + Math.Log(sumStudent);
    }

    /// <summary>dâ += dR â for the rows of a block, and dRᵀ â for all positions.</summary>
    private static void AddProducts(RelationUnit student, Panels product, float* gradient, int first, int rows, int padded, int width)
    {
        for (int panel = 0; panel < product.Count; panel++)
            for (nint row = 0; row < rows; row += GemmKernels.RowStrip)
                GemmKernels.Rows12((float*)student.Relations.Data + (row * Panels.Columns), student.Relations.PanelFloats, student.Rows + ((nint)panel * padded * Panels.Columns), student.Relations.Count, product.Panel(panel) + (row * Panels.Columns), accumulate: false);
        for (int row = 0; row < rows; row++)
            for (int i = 0; i < width; i += 16)
            {
                float* target = gradient + ((nint)(first + row) * width) + i;
                (Vector512.Load(target) + Vector512.Load(product.At(row, i))).Store(target);
            }

        for (int column = 0; column < student.Block.Count; column++)
            for (int panel = 0; panel < student.Relations.Count; panel++)
                for (int strip = 0; strip < Panels.Columns; strip += GemmKernels.ColumnStrip)
                    GemmKernels.Columns8(student.Relations.Panel(panel) + strip, student.Block.Panel(column), rows, gradient + ((((nint)panel * Panels.Columns) + strip) * width) + (column * Panels.Columns), width);
    }

    /// <summary>From the gradient of â to that of a; a unit vector has none along itself.</summary>
    private void Store(RelationUnit student, float* gradient, int t, int padded, int firstRow, int column, int count, float* row)
    {
        Vector512<float> products = default;
        for (int i = 0; i < count; i += 16)
        {
            Vector512<float> unit = Vector512.Load(student.Rows + ((((nint)(i / Panels.Columns) * padded) + t) * Panels.Columns) + (i % Panels.Columns));
            unit.Store(row + i);
            products = Vector512.FusedMultiplyAdd(unit, Vector512.Load(gradient + i), products);
        }

        Vector512<float> along = Vector512.Create(_run.Relation == AttentionRelation.Cosine ? Vector512.Sum(products) : 0);
        Vector512<float> factor = Vector512.Create(student.Norms[t] > 0 ? _run.Weight / student.Norms[t] : 0);
        for (int i = 0; i < count; i += 16)
            (factor * (Vector512.Load(gradient + i) - (Vector512.Load(row + i) * along))).Store(gradient + i);
        _run.Term.Scatter(gradient, firstRow + t, column, count);
    }

    private static void NormBody(void* state, int start, int end, int worker)
    {
        Run run = ((AttentionRelations)GCHandle.FromIntPtr((nint)state).Target!)._run;
        for (int row = start; row < end; row++)
        {
            float multiplier = run.Multipliers is null ? 1 : run.Multipliers[row];
            run.Squares[2 * row] = multiplier * multiplier * SumOfSquares(run.Gradient, row);
            run.Squares[(2 * row) + 1] = SumOfSquares(run.Term, row);
        }
    }

    private static float SumOfSquares(Panels panels, int row)
    {
        Vector512<float> sums = default;
        for (int p = 0; p < panels.Count; p++)
        {
            float* at = panels.Panel(p) + ((nint)row * Panels.Columns);
            Vector512<float> a = Vector512.Load(at), b = Vector512.Load(at + 16);
            sums = Vector512.FusedMultiplyAdd(a, a, Vector512.FusedMultiplyAdd(b, b, sums));
        }

        return Vector512.Sum(sums);
    }

    private static void AddBody(void* state, int start, int end, int worker)
    {
        Run run = ((AttentionRelations)GCHandle.FromIntPtr((nint)state).Target!)._run;
        for (int row = start; row < end; row++)
        {
            Vector512<float> factor = Vector512.Create(run.Inverses is null ? run.Factor : run.Factor * run.Inverses[row]);
            for (int p = 0; p < run.Gradient.Count; p++)
            {
                float* target = run.Gradient.Panel(p) + ((nint)row * Panels.Columns), term = run.Term.Panel(p) + ((nint)row * Panels.Columns);
                Vector512.FusedMultiplyAdd(factor, Vector512.Load(term), Vector512.Load(target)).Store(target);
                Vector512.FusedMultiplyAdd(factor, Vector512.Load(term + 16), Vector512.Load(target + 16)).Store(target + 16);
            }
        }
    }

    /// <summary>What the workers see of one call.</summary>
    private struct Run
    {
        public Panels Student, Teacher, Term, Gradient;
        public float* Squares, Multipliers, Inverses;
        public int Length;
        public AttentionRelation Relation;
        public float Weight, Factor;
    }
}

/// <summary>The relation term of one micro batch.</summary>
/// <param name="Divergence">Its share of the step's mean divergence.</param>
/// <param name="OtherNorm">Norm of the gradient of Q, K, V from the rest of the loss.</param>
/// <param name="TermNorm">Norm of the term's, with its factor.</param>
/// <param name="Factor">The factor.</param>
internal readonly record struct RelationReport(double Divergence, double OtherNorm, double TermNorm, double Factor);
