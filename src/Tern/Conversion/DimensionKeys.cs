using Tern.Files;

namespace Tern.Conversion;

/// <summary>
/// The keys <c>ARCHITECTURE.*</c> that every model file that Tern makes itself carries: what
/// <see cref="Models.Architectures.SpecReader.Common"/> reads back.
/// </summary>
internal static class DimensionKeys
{
    /// <summary>Sets <c>general.architecture</c> and the dimensions; keys and values have the head size of queries.</summary>
    public static void Set(Metadata metadata, string architecture, int vocabulary, int context, int hidden, int layers, int feedForward, int heads, int kvHeads, int headDim, float ropeBase, float epsilon)
    {
        metadata.Set("general.architecture", architecture);
        SetCount("vocab_size", vocabulary);
        SetCount("context_length", context);
        SetCount("embedding_length", hidden);
        SetCount("block_count", layers);
        SetCount("feed_forward_length", feedForward);
        SetCount("rope.dimension_count", headDim);
        metadata.Set($"{architecture}.rope.freq_base", ropeBase);
        SetCount("attention.head_count", heads);
        SetCount("attention.head_count_kv", kvHeads);
        SetCount("attention.key_length", headDim);
        SetCount("attention.value_length", headDim);
        metadata.Set($"{architecture}.attention.layer_norm_rms_epsilon", epsilon);

        void SetCount(string key, int value) => metadata.Set($"{architecture}.{key}", (uint)value);
    }
}
