using System.Runtime.Intrinsics;
using Tern.Machine;
using Tern.Training.Mathematics;

namespace Tern.Training.Distilling;

/// <summary>
/// Cross-entropy and the divergence from a teacher over a chunk of rows, and the gradient of both together. Student logits z, teacher's y:
/// <code>
///   CE = ln Σ exp z - z[target]        KL = Σ q ln(q / p),  p = softmax(z / T),  q = softmax(y / T)
///   loss = a CE + b T² KL              dz = a (softmax z - [target]) + b T (p - q),  both over the targets of the step
/// </code>
/// Rows without a target count for neither.
/// </summary>
internal unsafe struct LogitTerms : ILogitPass
{
    private const int BlockRows = LogitBlocks.Rows;

    /// <summary>Sixteen lanes for each row of a block, of each of these.</summary>
    private const int MaxStudent = 0, MaxTeacher = 1, Sum = 2, SumStudent = 3, SumTeacher = 4, Cross = 5, CrossGradient = 6, LogitGradient = 7, Statistics = 8;

    /// <summary>[rows, vocabulary]; becomes the gradient.</summary>
    public required Panels Student { get; init; }

    /// <summary>[rows, vocabulary].</summary>
    public required Panels Teacher { get; init; }

    /// <summary>[rows] ids or <see cref="TokenBatch.NoLoss"/>.</summary>
    public required int* Targets { get; init; }

    /// <summary>[rows] cross-entropies.</summary>
    public required float* Losses { get; init; }

    /// <summary>[rows][3]: T² KL, Σ dz² of the cross-entropy term, Σ dz² of the teacher's term.</summary>
    public required float* Terms { get; init; }

    /// <summary>a / targets.</summary>
    public required float CrossEntropyWeight { get; init; }

    /// <summary>b T / targets.</summary>
    public required float TeacherWeight { get; init; }

    public required float Temperature { get; init; }

    public void Run(WorkerPool pool, int rows) => LogitBlocks.Run(pool, ref this, rows);

    public readonly void Block(int first, int rows)
    {
        float* lanes = stackalloc float[Statistics * BlockRows * 16];
        new Span<float>(lanes, Statistics * BlockRows * 16).Clear();
        Panels student = Student.FromRow(first), teacher = Teacher.FromRow(first);
        LogitBlocks.Maxima(student, rows, lanes + (MaxStudent * BlockRows * 16));
        LogitBlocks.Maxima(teacher, rows, lanes + (MaxTeacher * BlockRows * 16));
        Each<Summing>(student, teacher, rows, lanes);
        for (int i = 0; i < rows; i++)
            FinishRow(student, first, i, lanes);
        Each<Differentiating>(student, teacher, rows, lanes);
        for (int i = 0; i < rows; i++)
        {
            Terms[(3 * (first + i)) + 1] = Vector512.Sum(At(lanes, CrossGradient, i));
            Terms[(3 * (first + i)) + 2] = Vector512.Sum(At(lanes, LogitGradient, i));
            if (Targets[first + i] is not (>= 0 and int target))
                continue;
            float* z = student.At(i, target);
            // Σ over j of (p_j - [j = target])² is the sum that was made, without [target], and 1 - 2 p more.
            float probability = MathF.Exp(-Losses[first + i]);
            Terms[(3 * (first + i)) + 1] += CrossEntropyWeight * CrossEntropyWeight * (1 - (2 * probability));
            *z -= CrossEntropyWeight;
        }
    }

    private static Vector512<float> At(float* lanes, int statistic, int row) => Vector512.Load(lanes + (((statistic * BlockRows) + row) * 16));

    private static void Put(float* lanes, int statistic, int row, Vector512<float> value) => value.Store(lanes + (((statistic * BlockRows) + row) * 16));

    /// <summary>Losses of a row; its sums become the factors of its gradient.</summary>
    private readonly void FinishRow(Panels student, int first, int i, float* lanes)
    {
        int target = Targets[first + i];
        float sum = Vector512.Sum(At(lanes, Sum, i)), sumStudent = Vector512.Sum(At(lanes, SumStudent, i)), sumTeacher = Vector512.Sum(At(lanes, SumTeacher, i));
        float cross = Vector512.Sum(At(lanes, Cross, i));
        bool counts = target >= 0;
        float chosen = counts ? *student.At(i, target) : 0;
        Losses[first + i] = counts ? MathF.Log(sum) + At(lanes, MaxStudent, i)[0] - chosen : 0;
        // KL = Σ q (y - z)/T - ln Σ exp y/T + ln Σ exp z/T
        Terms[3 * (first + i)] = counts ? Temperature * Temperature * ((cross / sumTeacher) - MathF.Log(sumTeacher) + MathF.Log(sumStudent)) : 0;
        Put(lanes, Sum, i, Vector512.Create(counts ? CrossEntropyWeight / sum : 0));
        Put(lanes, SumStudent, i, Vector512.Create(counts ? TeacherWeight / sumStudent : 0));
        Put(lanes, SumTeacher, i, Vector512.Create(counts ? TeacherWeight / sumTeacher : 0));
    }

    /// <summary>Gives a step the exponentials of all logits of a block, with the maxima of their rows taken off.</summary>
    private readonly void Each<TStep>(Panels student, Panels teacher, int rows, float* lanes)
        where TStep : struct, ILogitStep
    {
        Vector512<float> inverse = Vector512.Create(1 / Temperature);
        for (int panel = 0; panel < student.Count; panel++)
        {
            float* z = student.Panel(panel), y = teacher.Panel(panel);
            for (int i = 0; i < rows; i++, z += Panels.Columns, y += Panels.Columns)
            {
                for (int half = 0; half < Panels.Columns; half += 16)
                {
                    Vector512<float> zs = Vector512.Load(z + half) - At(lanes, MaxStudent, i), ys = Vector512.Load(y + half) - At(lanes, MaxTeacher, i);
                    Vector512<float> e = WideFunctions.Exp(zs), p = Temperature == 1 ? e : WideFunctions.Exp(zs * inverse), q = WideFunctions.Exp(ys * inverse);
                    TStep.Do(e, p, q, (ys - zs) * inverse, lanes, i, z + half);
                }
            }
        }
    }

    /// <summary>What is done with sixteen logits of a row.</summary>
    private interface ILogitStep
    {
        /// <summary>Takes exp z, exp z/T, exp y/T and (y - z)/T, the statistics of the block, the row in it, and the place of the student's logits.</summary>
        static abstract void Do(Vector512<float> e, Vector512<float> p, Vector512<float> q, Vector512<float> difference, float* lanes, int row, float* z);
    }

    /// <summary>Σ exp z, Σ exp z/T, Σ exp y/T and Σ exp(y/T) (y - z)/T.</summary>
    private readonly struct Summing : ILogitStep
    {
        public static void Do(Vector512<float> e, Vector512<float> p, Vector512<float> q, Vector512<float> difference, float* lanes, int row, float* z)
        {
            Put(lanes, Sum, row, At(lanes, Sum, row) + e);
            Put(lanes, SumStudent, row, At(lanes, SumStudent, row) + p);
            Put(lanes, SumTeacher, row, At(lanes, SumTeacher, row) + q);
            Put(lanes, Cross, row, Vector512.FusedMultiplyAdd(q, difference, At(lanes, Cross, row)));
        }
    }

    /// <summary>The gradient in the student's place, and the squares of its two parts.</summary>
    private readonly struct Differentiating : ILogitStep
    {
        public static void Do(Vector512<float> e, Vector512<float> p, Vector512<float> q, Vector512<float> difference, float* lanes, int row, float* z)
        {
            Vector512<float> fromText = e * At(lanes, Sum, row), fromTeacher = (p * At(lanes, SumStudent, row)) - (q * At(lanes, SumTeacher, row));
            Put(lanes, CrossGradient, row, Vector512.FusedMultiplyAdd(fromText, fromText, At(lanes, CrossGradient, row)));
            Put(lanes, LogitGradient, row, Vector512.FusedMultiplyAdd(fromTeacher, fromTeacher, At(lanes, LogitGradient, row)));
            (fromText + fromTeacher).Store(z);
        }
    }
}
