namespace Tern.Text.Templates;

/// <summary>Stable sorting at a counted price, which lets a comparison fail with its own exception.</summary>
internal static class TemplateSort
{
    /// <summary>Merge sort; with <paramref name="reverse"/>, from high to low with equals still in their order.</summary>
    public static List<T> Stable<T>(TemplateRenderer renderer, List<T> items, Func<T, T, int> order, bool reverse)
    {
        renderer.Allocate(64L * items.Count);
        T[] from = [.. items];
        var to = new T[from.Length];
        for (int width = 1; width < from.Length; width *= 2)
        {
            renderer.Charge(from.Length);
            for (int start = 0; start < from.Length; start += 2 * width)
                Merge(from, to, start, Math.Min(start + width, from.Length), Math.Min(start + 2 * width, from.Length), order, reverse);
            (from, to) = (to, from);
        }

        return [.. from];
    }

    private static void Merge<T>(T[] from, T[] to, int start, int middle, int end, Func<T, T, int> order, bool reverse)
    {
        int left = start, right = middle;
        for (int i = start; i < end; i++)
        {
            bool takeRight = left >= middle || (right < end && (reverse ? order(from[left], from[right]) < 0 : order(from[left], from[right]) > 0));
            to[i] = takeRight ? from[right++] : from[left++];
        }
    }
}
